package cli

import (
	"fmt"
	"os"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/mica-build/mica/internal/atomicfile"
	"github.com/mica-build/mica/lint"
)

// lintFix shows what would mend the files and, with --fix, writes it.
func (a *app) lintFix(l *lint.Linter, inputs []lint.Input, o lintOptions) error {
	changed := 0
	for _, in := range inputs {
		raw, n := l.Fix(in)
		if n == 0 {
			continue
		}
		changed += n
		if _, err := a.stdout.Write(diff.Diff(in.Name, in.Raw, in.Name, raw)); err != nil {
			return err
		}
		if !o.fix || o.diff || in.Name == "-" {
			continue
		}
		if err := replaceDockerfile(in.Name, raw); err != nil {
			return fmt.Errorf("fix %s: %w", in.Name, err)
		}
	}
	left := 0
	for _, in := range inputs {
		now := in
		now.Raw, _ = l.Fix(in)
		left += len(l.Run(now))
	}
	verb := "mended"
	if !o.fix || o.diff {
		verb = "could be mended"
	}
	fmt.Fprintf(a.stderr, "%d %s, %d left to you\n", changed, verb, left)
	return nil
}

// replaceDockerfile writes a file whole, with the mode it had; a link stays one.
func replaceDockerfile(name string, raw []byte) error {
	fi, err := os.Stat(name)
	if err != nil {
		return err
	}
	if link, err := os.Lstat(name); err == nil && link.Mode()&os.ModeSymlink != 0 {
		return os.WriteFile(name, raw, fi.Mode().Perm())
	}
	return atomicfile.Write(name, raw, atomicfile.Options{Perm: fi.Mode().Perm()})
}
