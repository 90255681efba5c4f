package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/internal/atomicfile"
)

type saveOptions struct {
	output   string
	platform []string
}

func newSaveCmd(a *app) *cobra.Command {
	var o saveOptions
	cmd := &cobra.Command{
		Use:               "save [OPTIONS] IMAGE [IMAGE...]",
		Short:             "Write images to a tar",
		Args:              args(1, -1),
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSave(cmd.Context(), a, o, args)
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "file to write instead of stdout")
	cmd.Flags().StringSliceVar(&o.platform, "platform", nil, "save only these platforms of images for several")
	return cmd
}

func runSave(ctx context.Context, a *app, o saveOptions, names []string) error {
	p, err := parsePlatforms(o.platform)
	if err != nil {
		return err
	}
	if o.output == "" && isTerminal(a.stdout) {
		return withHint(errors.New("refusing to write an image to a terminal"), "Use -o FILE, or redirect stdout.")
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	write := func(w io.Writer) error {
		return e.Save(ctx, w, names, engine.SaveOptions{Platforms: p})
	}
	if o.output == "" || o.output == "-" {
		return write(a.stdout)
	}
	return writeFile(o.output, write)
}

// writeFile makes a file that appears when it is complete. What is there and is
// no file, a pipe or /dev/stdout, is written to as it is.
func writeFile(path string, write func(io.Writer) error) error {
	info, err := os.Stat(path)
	if dir := filepath.Dir(path); err != nil {
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("output file: %w", err)
		}
	}
	if err != nil || info.Mode().IsRegular() {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		return atomicfile.Stream(path, atomicfile.Options{Perm: 0o600}, write)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
