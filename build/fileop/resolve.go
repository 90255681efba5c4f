//go:build linux

package fileop

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/safepath"
)

// maxLinks bounds the symbolic links of one path.
const maxLinks = 255

// resolver turns paths inside a tree into paths without symbolic links.
type resolver struct {
	root *os.File
	// hidden, if not nil, tells links that do not exist for the caller.
	hidden func(path string) bool
}

// resolve gives name as a path relative to the root in which no component is a
// symbolic link (the last may be, unless followLast), and what lies there.
// Components that do not exist are kept as they are: st is then nil.
func (r resolver) resolve(name string, followLast bool) (at string, st *unix.Stat_t, err error) {
	rest := components(name)
	links := 0
	for i := 0; i < len(rest); i++ {
		if rest[i] == ".." {
			if at = path.Dir(at); at == "." {
				at = ""
			}
			continue
		}
		next := path.Join(at, rest[i])
		found, err := safepath.Lstat(r.root, next)
		last := i == len(rest)-1
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return rooted(path.Join(append([]string{"/", next}, rest[i+1:]...)...)), nil, nil
		case err != nil:
			return "", nil, err
		case found.Mode&unix.S_IFMT != unix.S_IFLNK || last && !followLast:
			if !last && found.Mode&unix.S_IFMT != unix.S_IFDIR {
				return "", nil, &fs.PathError{Op: "open", Path: "/" + next, Err: unix.ENOTDIR}
			}
			at = next
			continue
		case r.hidden != nil && r.hidden(next):
			return rooted(path.Join(append([]string{"/", next}, rest[i+1:]...)...)), nil, nil
		}
		if links++; links > maxLinks {
			return "", nil, &fs.PathError{Op: "open", Path: name, Err: unix.ELOOP}
		}
		target, err := safepath.Readlink(r.root, next)
		if err != nil {
			return "", nil, err
		}
		if strings.HasPrefix(target, "/") {
			at = ""
		}
		rest, i = append(components(target), rest[i+1:]...), -1
	}
	found, err := safepath.Lstat(r.root, at)
	if err != nil {
		return "", nil, err
	}
	return at, &found, nil
}

// components are the parts of a path, without "" and ".". A ".." is kept, as
// what it means depends on the links before it.
func components(name string) []string {
	parts := strings.Split(name, "/")
	kept := parts[:0]
	for _, p := range parts {
		if p != "" && p != "." {
			kept = append(kept, p)
		}
	}
	return kept
}

// rooted cleans a path and makes it relative to the root, which is "".
func rooted(name string) string {
	return strings.TrimPrefix(path.Join("/", name), "/")
}

// isDir tells whether st, which may be nil, describes a directory.
func isDir(st *unix.Stat_t) bool {
	return st != nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}
