package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/engine"
)

type loadOptions struct {
	input    string
	quiet    bool
	platform string
}

func newLoadCmd(a *app) *cobra.Command {
	var o loadOptions
	cmd := &cobra.Command{
		Use:   "load [OPTIONS]",
		Short: "Read images from a tar",
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runLoad(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.input, "input", "i", "", "file to read instead of stdin")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "do not say what happens to each layer")
	f.StringVar(&o.platform, "platform", "", "load only this platform of images for several")
	return cmd
}

func runLoad(ctx context.Context, a *app, o loadOptions) error {
	var eo engine.LoadOptions
	if o.platform != "" {
		p, err := parsePlatforms([]string{o.platform})
		if err != nil {
			return err
		}
		eo.Platform = &p[0]
	}
	r, err := a.openArchive(ctx, o.input)
	if err != nil {
		return err
	}
	defer r.Close()
	e, err := a.engine()
	if err != nil {
		return err
	}
	if !o.quiet && isTerminal(a.stdout) {
		lines := &layerLines{w: a.stdout}
		eo.Progress = func(ev engine.PullEvent) {
			if ev.Unpacked || ev.State == content.Exists {
				lines.pull(ev)
			}
		}
	}
	done, err := e.Load(ctx, r, eo)
	for _, l := range done {
		if l.Name != "" {
			fmt.Fprintln(a.stdout, "Loaded image: "+engine.Familiar(l.Name))
		} else {
			fmt.Fprintln(a.stdout, "Loaded image ID: "+l.ID.String())
		}
	}
	return err
}

// openArchive opens the file, or stdin if there is none.
func (a *app) openArchive(ctx context.Context, file string) (io.ReadCloser, error) {
	if file != "" && file != "-" {
		return os.Open(file)
	}
	if isTerminal(a.stdin) {
		return nil, withHint(errors.New("nothing to load: stdin is a terminal"), "Use -i FILE, or redirect stdin.")
	}
	return a.input(ctx), nil
}
