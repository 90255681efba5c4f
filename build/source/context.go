package source

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"

	"github.com/mica-build/mica/errs"
)

// A Kind says where a build's context comes from.
type Kind string

// The kinds of context that the PATH argument of a build can name.
const (
	Dir   Kind = "dir"   // a directory
	Stdin Kind = "stdin" // "-": an archive or a Dockerfile
	Git   Kind = "git"   // a repository, optionally "#ref:subdir" or a query
	HTTP  Kind = "http"  // an archive or a Dockerfile on a web server
)

// ParseContext decides what kind of context the argument of a build names. A
// directory that is there comes before a repository that looks alike, as
// github.com/x/y. A repository's URL whose query contradicts itself, and an
// argument that names a file, match errs.ErrInvalid; a path that is not there,
// errs.ErrNotFound.
func ParseContext(arg string) (Kind, error) {
	if arg == "-" {
		return Stdin, nil
	}
	fi, statErr := os.Stat(arg)
	if statErr == nil && fi.IsDir() {
		return Dir, nil
	}
	_, git, err := dfgitutil.ParseGitRef(arg)
	switch {
	case git && err != nil:
		return "", fmt.Errorf("build context %s: %w: %w", redactURL(arg), errs.ErrInvalid, err)
	case git:
		return Git, nil
	case strings.HasPrefix(arg, "http://"), strings.HasPrefix(arg, "https://"):
		return HTTP, nil
	case statErr == nil:
		return "", fmt.Errorf("build context %s: is a file, not a directory (for a Dockerfile use -f): %w", arg, errs.ErrInvalid)
	case os.IsNotExist(statErr):
		return "", fmt.Errorf("build context %s: no such directory: %w", redactURL(arg), errs.ErrNotFound)
	}
	return "", fmt.Errorf("build context %s: %w", redactURL(arg), statErr)
}

// A StdinKind says what came through a pipe.
type StdinKind string

// What a build may get on standard input.
const (
	Tar        StdinKind = "tar"        // a context, bare or compressed
	Dockerfile StdinKind = "dockerfile" // a Dockerfile without context
)

// SpoolStdin writes all of r into a new file in dir and tells an archive from a
// Dockerfile by its first bytes. The caller removes the file; on an error there
// is none.
func SpoolStdin(r io.Reader, dir string) (path string, kind StdinKind, err error) {
	header, all, err := peek(r)
	if err != nil {
		return "", "", fmt.Errorf("read standard input: %w", err)
	}
	kind = Dockerfile
	if DetectArchive(header) {
		kind = Tar
	}
	f, err := os.CreateTemp(dir, "stdin-*")
	if err != nil {
		return "", "", fmt.Errorf("spool standard input: %w", err)
	}
	_, err = io.Copy(f, all)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(f.Name())
		return "", "", fmt.Errorf("spool standard input: %w", err)
	}
	return f.Name(), kind, nil
}
