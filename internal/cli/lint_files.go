package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher/ignorefile"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

// lintInputs reads the files that args name: files, directories with all the
// Dockerfiles below them, - for standard input.
func (a *app) lintInputs(args []string) ([]lint.Input, error) {
	if len(args) == 0 {
		args = []string{defaultDockerfile()}
	}
	var out []lint.Input
	for _, arg := range args {
		if arg == "-" {
			raw, err := io.ReadAll(io.LimitReader(a.stdin, dockerfile.MaxSize+1))
			if err != nil {
				return nil, fmt.Errorf("read standard input: %w", err)
			}
			out = append(out, lint.Input{Name: "-", Raw: raw})
			continue
		}
		files, err := dockerfilesAt(arg)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			in, err := lintInput(f)
			if err != nil {
				return nil, err
			}
			out = append(out, in)
		}
	}
	return out, nil
}

func defaultDockerfile() string {
	for _, name := range []string{"Dockerfile", "dockerfile", "Containerfile"} {
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	return "Dockerfile"
}

// dockerfilesAt is the file itself, or the Dockerfiles in a directory.
func dockerfilesAt(path string) ([]string, error) {
	fi, err := os.Stat(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, withHint(fmt.Errorf("lint %s: %w", path, errs.ErrNotFound), "Name a file, a directory, or - for standard input.")
		}
		return nil, fmt.Errorf("lint: %w", err)
	}
	if !fi.IsDir() {
		return []string{path}, nil
	}
	var out []string
	err = filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && p != path && (e.Name() == ".git" || e.Name() == "node_modules" || e.Name() == "vendor"):
			return filepath.SkipDir
		case e.Type().IsRegular() && isDockerfileName(e.Name()):
			out = append(out, p)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lint %s: %w", path, err)
	}
	if len(out) == 0 {
		return nil, withHint(fmt.Errorf("lint %s: no Dockerfile in it: %w", path, errs.ErrNotFound),
			"Files are found by name: Dockerfile, Dockerfile.*, *.Dockerfile, Containerfile.")
	}
	return out, nil
}

func isDockerfileName(name string) bool {
	n := strings.ToLower(name)
	if strings.HasSuffix(n, ".dockerignore") || strings.HasSuffix(n, ".md") || strings.HasSuffix(n, ".go") {
		return false
	}
	for _, base := range []string{"dockerfile", "containerfile"} {
		if n == base || strings.HasPrefix(n, base+".") || strings.HasSuffix(n, "."+base) {
			return true
		}
	}
	return false
}

// lintInput reads a file and the ignore file that a build of it would use.
func lintInput(path string) (lint.Input, error) {
	f, err := os.Open(path)
	if err != nil {
		return lint.Input{}, fmt.Errorf("lint: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, dockerfile.MaxSize+1))
	if err != nil {
		return lint.Input{}, fmt.Errorf("lint: %w", err)
	}
	in := lint.Input{Name: path, Raw: raw}
	for _, name := range []string{path + ".dockerignore", filepath.Join(filepath.Dir(path), ".dockerignore")} {
		ignore, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return in, fmt.Errorf("lint: %w", err)
		}
		if in.Ignore, err = ignorefile.ReadAll(bytes.NewReader(ignore)); err != nil {
			return in, fmt.Errorf("lint: %s: %w", name, err)
		}
		break
	}
	return in, nil
}
