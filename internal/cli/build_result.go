package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strconv"
	"strings"

	"github.com/mica-build/mica/build"
	"github.com/mica-build/mica/internal/ui/progress"
)

// forget removes the result files of an earlier build, so that none is left to
// be taken for this one's if it fails.
func (p *buildPlan) forget() error {
	for _, f := range []string{p.iidFile, p.metadataFile} {
		if f == "" {
			continue
		}
		if fi, err := os.Lstat(f); err != nil || !fi.Mode().IsRegular() { // /dev/stdout stays
			continue
		}
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return nil
}

// record writes what was built to where the user wants it.
func (p *buildPlan) record(stdout io.Writer, res *build.Result) error {
	id := res.ImageID
	if id == "" {
		id = res.Digest
	}
	if p.mode == progress.Quiet && id != "" {
		if _, err := fmt.Fprintln(stdout, id); err != nil {
			return err
		}
	}
	if p.iidFile != "" {
		if err := os.WriteFile(p.iidFile, []byte(id), 0o644); err != nil {
			return fmt.Errorf("write image ID: %w", err)
		}
	}
	if p.metadataFile == "" {
		return nil
	}
	data, err := json.MarshalIndent(metadata(res), "", "  ")
	if err != nil {
		return fmt.Errorf("write metadata: %w", err)
	}
	if err := os.WriteFile(p.metadataFile, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write metadata: %w", err)
	}
	return nil
}

// metadata is the content of --metadata-file under buildx's keys: what the engine
// says of the result, and what only the command knows.
func metadata(res *build.Result) map[string]any {
	m := map[string]any{"buildx.build.ref": "default/default/" + strings.ToLower(rand.Text())}
	if on, err := strconv.ParseBool(os.Getenv("BUILDX_METADATA_WARNINGS")); err == nil && on && len(res.Warnings) > 0 {
		m["buildx.build.warnings"] = res.Warnings
	}
	maps.Copy(m, res.Metadata)
	return m
}

// buildFailure prints why a build failed, with the lines of the Dockerfile it is
// about, and gives the error to end with.
func buildFailure(ctx context.Context, w io.Writer, err error, mode progress.Mode) error {
	if ctx.Err() != nil { // whatever failed then, that is why
		return ctx.Err()
	}
	var step *build.StepError
	if errors.As(err, &step) && mode == progress.Quiet { // nobody has seen it yet
		printTail(w, step)
	}
	var src *build.SourceError
	if errors.As(err, &src) { // the lines first, the cause last
		fmt.Fprint(w, strings.TrimSuffix(src.Error(), src.Err.Error()))
		err = src.Err
	}
	fmt.Fprintln(w, "ERROR: failed to build: "+err.Error())
	err = hintSingleUser(err)
	var h *hintError
	if errors.As(err, &h) {
		fmt.Fprintln(w, "\n"+h.hint)
	}
	if step != nil && mode != progress.None {
		printNext(w, step)
	}
	return withCode(1, nil)
}

// printTail prints the last lines that a failed step printed.
func printTail(w io.Writer, e *build.StepError) {
	if len(e.Tail) == 0 {
		return
	}
	fmt.Fprintf(w, " > %s:\n", e.Name)
	for _, line := range e.Tail {
		fmt.Fprintln(w, line)
	}
}

// printNext says how to look closer at a failed step.
func printNext(w io.Writer, e *build.StepError) {
	if len(e.Tail) > 0 {
		fmt.Fprintf(w, "\nAll of its output:  mica builds logs %s %d\n", e.Build, e.Number)
	}
	if e.Kept {
		fmt.Fprintf(w, "A shell in its root filesystem:  mica builds shell %s\n", e.Build)
	}
}
