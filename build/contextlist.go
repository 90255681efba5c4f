package build

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher/ignorefile"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/build/fileop"
	"github.com/mica-build/mica/errs"
)

// A ContextList is what a build context holds.
type ContextList struct {
	Dir    string
	Ignore *IgnoreFile // nil when there is none
	Files  []ContextFile
	Bytes  int64 // of all files
}

// A ContextFile is one file, or another thing that is no directory.
type ContextFile struct {
	Path  string // from the context's root
	Bytes int64
	Mode  uint32 // st_mode
}

// An IgnoreFile is a .dockerignore file.
type IgnoreFile struct {
	Path  string
	rules []IgnoreRule
}

// An IgnoreRule is one line of an IgnoreFile that excludes, or includes again.
type IgnoreRule struct {
	Line int // from 1
	Text string

	pattern string
}

// ListContext lists what a build of dir with the Dockerfile ("" is the one of
// the directory) may read, the largest first.
func ListContext(ctx context.Context, dir, dockerfile string) (*ContextList, error) {
	root, err := directory(dir)
	if err != nil {
		return nil, fmt.Errorf("build context: %w", err)
	}
	l := &ContextList{Dir: root}
	if l.Ignore, err = findIgnore(root, dockerfile); err != nil {
		return nil, err
	}
	f, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := fileop.List(ctx, &fileop.Source{Dir: f, Context: true, Exclude: l.Ignore.patterns()})
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Mode&unix.S_IFMT == unix.S_IFDIR {
			continue
		}
		l.Files = append(l.Files, ContextFile{Path: e.Path, Bytes: e.Size, Mode: e.Mode})
		l.Bytes += e.Size
	}
	slices.SortStableFunc(l.Files, func(a, b ContextFile) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Path, b.Path))
	})
	return l, nil
}

// Why says whether path, relative to the context or to the working directory,
// is kept out of the context, and by which rule; nil when no rule is about it.
func (l *ContextList) Why(path string) (rel string, excluded bool, rule *IgnoreRule, err error) {
	if rel, err = l.rel(path); err != nil {
		return "", false, nil, err
	}
	by, excluded, err := fileop.ExcludedBy(l.Ignore.patterns(), rel)
	if err != nil || by < 0 {
		return rel, excluded, nil, err
	}
	return rel, excluded, &l.Ignore.rules[by], nil
}

// rel gives a path in the terms of the context.
func (l *ContextList) rel(path string) (string, error) {
	if !filepath.IsAbs(path) {
		if _, err := os.Lstat(filepath.Join(l.Dir, path)); err == nil {
			return filepath.ToSlash(filepath.Clean(path)), nil
		}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		abs = filepath.Join(dir, filepath.Base(abs))
	}
	rel, err := filepath.Rel(l.Dir, abs)
	if err != nil || !filepath.IsLocal(rel) {
		if filepath.IsLocal(path) {
			return filepath.ToSlash(filepath.Clean(path)), nil // not there: what would be
		}
		return "", fmt.Errorf("%s is not in the context %s: %w", path, l.Dir, errs.ErrInvalid)
	}
	return filepath.ToSlash(rel), nil
}

// findIgnore reads the ignore file that counts: that of the Dockerfile, or the
// context's.
func findIgnore(root, dockerfile string) (*IgnoreFile, error) {
	if dockerfile == "" {
		dockerfile = filepath.Join(root, "Dockerfile")
	} else if !filepath.IsAbs(dockerfile) && !fileExists(dockerfile) {
		dockerfile = filepath.Join(root, dockerfile)
	}
	for _, path := range []string{dockerfile + ".dockerignore", filepath.Join(root, ".dockerignore")} {
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return readIgnore(path, raw)
	}
	return nil, nil
}

// readIgnore reads the rules of an ignore file, line by line, to know where each
// stands.
func readIgnore(path string, raw []byte) (*IgnoreFile, error) {
	f := &IgnoreFile{Path: path}
	sc := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))))
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		patterns, err := ignorefile.ReadAll(bytes.NewReader(sc.Bytes()))
		if err != nil {
			return nil, fmt.Errorf("read %s: line %d: %w", path, n, err)
		}
		for _, p := range patterns {
			f.rules = append(f.rules, IgnoreRule{Line: n, Text: strings.TrimSpace(sc.Text()), pattern: p})
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return f, nil
}

func (f *IgnoreFile) patterns() []string {
	if f == nil {
		return nil
	}
	out := make([]string, len(f.rules))
	for i, r := range f.rules {
		out[i] = r.pattern
	}
	return out
}
