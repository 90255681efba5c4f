package cli

import (
	"fmt"
	"io"

	"github.com/mica-build/mica/build"
	"github.com/mica-build/mica/internal/ui/format"
)

// printPlan prints what a dry run found out.
func printPlan(w io.Writer, p *build.Plan) error {
	for _, s := range p.Steps {
		state := "cached"
		if s.Runs {
			state = "run"
		}
		fmt.Fprintf(w, "%-7s %s\n", state, s.Name)
		if s.Why != nil {
			fmt.Fprintf(w, "%7s   %s\n", "", s.Why.Cause)
		}
	}
	for _, pull := range p.Pulls {
		layers := "layers"
		if pull.Layers == 1 {
			layers = "layer"
		}
		fmt.Fprintf(w, "%-7s %s (%d %s, %s)\n", "pull", pull.Ref, pull.Layers, layers, format.Size(pull.Bytes))
	}
	_, err := fmt.Fprintf(w, "%d of %d steps would run.\n", p.Runs(), len(p.Steps))
	return err
}
