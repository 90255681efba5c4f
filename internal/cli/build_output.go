package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mica-build/mica/build"
	"github.com/mica-build/mica/errs"
)

// The types of build.Output.
const (
	outputImage     = "image"
	outputLocal     = "local"
	outputTar       = "tar"
	outputOCI       = "oci"
	outputDocker    = "docker"
	outputCacheOnly = "cacheonly"
)

// parseOutputs reads -o, --load and --push. None of them means the local store.
// terminal says that standard output is one, which is no place for an archive.
func (o *buildOptions) parseOutputs(terminal bool) ([]build.Output, error) {
	var outputs []build.Output
	for _, s := range o.outputs {
		out, err := parseOutput(s)
		if err != nil {
			return nil, err
		}
		outputs = append(outputs, out)
	}
	if o.load && !slices.ContainsFunc(outputs, loads) {
		outputs = append(outputs, build.Output{Type: outputImage, Attrs: map[string]string{}})
	}
	if o.push {
		outputs = addPush(outputs)
	}
	return outputs, firstError(
		func() error { return checkPushNames(outputs, o.tags) },
		func() error { return checkStdout(outputs, terminal) },
		func() error { return checkDelete(outputs, o.allow) },
	)
}

// loads says whether an output puts the image into the local store and does
// nothing besides.
func loads(o build.Output) bool { return o.Type == outputImage && !pushes(o) }

func pushes(o build.Output) bool {
	push, err := strconv.ParseBool(o.Attrs["push"])
	return err == nil && push
}

// addPush makes the image outputs push, or adds one that does.
func addPush(outputs []build.Output) []build.Output {
	found := false
	for _, o := range outputs {
		if o.Type == outputImage {
			o.Attrs["push"] = "true"
			found = true
		}
	}
	if !found {
		outputs = append(outputs, build.Output{Type: outputImage, Attrs: map[string]string{"push": "true"}})
	}
	return outputs
}

// parseOutput reads one value of -o: "type=T,key=value,...", a directory, or "-".
func parseOutput(s string) (build.Output, error) {
	fields, err := splitCSV(s)
	if err != nil {
		return build.Output{}, fmt.Errorf("--output %q: %w", s, err)
	}
	if len(fields) == 1 && fields[0] == s && !strings.HasPrefix(s, "type=") {
		if s == "-" {
			return build.Output{Type: outputTar, Dest: "-", Attrs: map[string]string{}}, nil
		}
		return build.Output{Type: outputLocal, Dest: s, Attrs: map[string]string{}}, nil
	}
	out := build.Output{Attrs: map[string]string{}}
	for _, f := range fields {
		key, value, ok := strings.Cut(f, "=")
		if !ok {
			return out, fmt.Errorf("--output %q: %w: %q is not key=value", s, errs.ErrInvalid, f)
		}
		switch key = strings.TrimSpace(strings.ToLower(key)); key {
		case "type":
			out.Type = value
		case "dest":
			out.Dest = value
		default:
			out.Attrs[key] = value
		}
	}
	if err := settleOutput(&out); err != nil {
		return build.Output{}, fmt.Errorf("--output %q: %w", s, err)
	}
	return out, nil
}

// settleOutput translates docker's types to the engine's and checks what each needs.
func settleOutput(o *build.Output) error {
	switch o.Type {
	case "":
		return fmt.Errorf("type is missing: %w", errs.ErrInvalid)
	case "registry":
		o.Type = outputImage
		if _, ok := o.Attrs["push"]; !ok {
			o.Attrs["push"] = "true"
		}
	case outputDocker:
		if c := o.Attrs["context"]; c != "" && c != "default" {
			return fmt.Errorf("context %q: %w: mica connects to no daemon", c, errs.ErrUnsupported)
		}
		delete(o.Attrs, "context")
		if o.Dest == "" { // docker loads it, and so does the local store
			o.Type = outputImage
		}
	case outputOCI, outputTar:
		if o.Dest == "" {
			o.Dest = "-"
		}
	case outputLocal:
		return settleLocal(o)
	case outputImage, outputCacheOnly:
	default:
		return fmt.Errorf("type %q: %w: it is one of local, tar, oci, docker, image, registry, cacheonly", o.Type, errs.ErrInvalid)
	}
	if o.Dest != "" && (o.Type == outputImage || o.Type == outputCacheOnly) {
		return fmt.Errorf("dest: %w: type %s writes no file", errs.ErrInvalid, o.Type)
	}
	if o.Attrs["push"] != "" {
		if _, err := strconv.ParseBool(o.Attrs["push"]); err != nil {
			return fmt.Errorf("push=%s: %w", o.Attrs["push"], errs.ErrInvalid)
		}
	}
	return nil
}

func settleLocal(o *build.Output) error {
	if o.Dest == "" || o.Dest == "-" {
		return fmt.Errorf("dest: %w: type local needs a directory", errs.ErrInvalid)
	}
	switch o.Attrs["mode"] {
	case "", "copy", "delete":
		return nil
	}
	return fmt.Errorf("mode=%s: %w: it is copy or delete", o.Attrs["mode"], errs.ErrInvalid)
}

// checkPushNames reports a push of an image that has no name.
func checkPushNames(outputs []build.Output, tags []string) error {
	for _, o := range outputs {
		if o.Type == outputImage && pushes(o) && len(tags) == 0 && o.Attrs["name"] == "" {
			return withHint(errors.New("push: the image has no name"), "Name it with --tag HOST/NAME:TAG.")
		}
	}
	return nil
}

// checkStdout reports archives that would end up on a terminal, or in each other.
func checkStdout(outputs []build.Output, terminal bool) error {
	n := 0
	for _, o := range outputs {
		if o.Dest == "-" {
			n++
		}
	}
	switch {
	case n > 1:
		return errors.New("only one --output can go to standard output")
	case n == 1 && terminal:
		return withHint(errors.New("refusing to write an archive to a terminal"), "Name a file with dest=FILE, or redirect standard output.")
	}
	return nil
}

// checkDelete reports an output that deletes files where the user may not
// expect it, unless --allow buildx.local.delete says that they do.
func checkDelete(outputs []build.Output, allow []string) error {
	if slices.Contains(splitCommas(allow), entitlementDelete) {
		return nil
	}
	for _, o := range outputs {
		if o.Type != outputLocal || o.Attrs["mode"] != "delete" {
			continue
		}
		inside, err := belowWorkingDir(o.Dest)
		if err != nil {
			return err
		}
		if !inside {
			return withHint(fmt.Errorf("output %s: mode=delete removes what else is there", o.Dest),
				"Allow it with --allow "+entitlementDelete+".")
		}
	}
	return nil
}

// belowWorkingDir says whether dir is a proper subfolder of the working directory.
func belowWorkingDir(dir string) (bool, error) {
	wd, err := os.Getwd()
	if err != nil {
		return false, err
	}
	if abs, err := filepath.EvalSymlinks(dir); err == nil {
		dir = abs
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(wd, dir)
	}
	if real, err := filepath.EvalSymlinks(wd); err == nil {
		wd = real
	}
	rel, err := filepath.Rel(wd, dir)
	return err == nil && rel != "." && filepath.IsLocal(rel), nil
}

// splitCSV reads one line of comma separated values, where a value with a comma
// in it is quoted. Errors match errs.ErrInvalid.
func splitCSV(s string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(s))
	fields, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errs.ErrInvalid, err)
	}
	if _, err := r.Read(); err == nil {
		return nil, fmt.Errorf("%w: more than one line", errs.ErrInvalid)
	}
	return fields, nil
}
