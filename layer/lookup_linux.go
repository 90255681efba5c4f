package layer

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Lookup finds path in the merged view of the overlay-form trees lowers
// (bottom first), as overlayfs would show it: where is the tree (one of
// lowers) whose entry is visible, st describes it. Symbolic links are neither
// followed nor resolved; nothing is found below one. ok is false if nothing is
// visible at path. A merged directory is found in its topmost tree.
func Lookup(lowers []string, path string) (where string, st unix.Stat_t, ok bool, err error) {
	m, err := openMerged(lowers)
	if err != nil {
		return "", st, false, err
	}
	defer func() { m.close() }()
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if len(parts) == 0 {
		parts = []string{"."}
	}
	for _, dir := range parts[:len(parts)-1] {
		sub, err := m.sub(dir)
		m.close()
		if m = sub; err != nil {
			return "", st, false, fmt.Errorf("look up %s: %w", path, err)
		}
	}
	at, st, ok, err := m.entry(parts[len(parts)-1])
	if err != nil {
		return "", st, false, fmt.Errorf("look up %s: %w", path, err)
	}
	if ok {
		where = lowers[at.tree]
		err = Recorded(at.fd, parts[len(parts)-1], &st)
	}
	return where, st, ok, err
}

// Sole finds the one tree of lowers (bottom first) from which all comes that is
// visible at path and below it. ok is false when there are several, when
// nothing is visible there, or when path leads to or through a symbolic link or
// has a "..".
func Sole(lowers []string, path string) (where string, ok bool, err error) {
	m, err := openMerged(lowers)
	if err != nil {
		return "", false, err
	}
	defer func() { m.close() }()
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	for i, name := range parts {
		if name == ".." {
			return "", false, nil
		}
		at, st, ok, err := m.entry(name)
		if err != nil {
			return "", false, fmt.Errorf("look up %s: %w", path, err)
		}
		if !ok || st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return "", false, nil
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return lowers[at.tree], i == len(parts)-1, nil
		}
		sub, err := m.sub(name)
		m.close()
		if m = sub; err != nil {
			return "", false, fmt.Errorf("look up %s: %w", path, err)
		}
	}
	if len(m) != 1 {
		return "", false, nil
	}
	return lowers[m[0].tree], true, nil
}

// merged is one directory of a merged view: its parts, topmost first. Without
// parts nothing is visible in it.
type merged []part

// part is a directory of one tree.
type part struct {
	fd   int
	tree int // index into the list of trees, bottom first
}

func openMerged(lowers []string) (merged, error) {
	var m merged
	for i := len(lowers) - 1; i >= 0; i-- {
		fd, err := openTree(lowers[i])
		if err != nil {
			m.close()
			return nil, err
		}
		m = append(m, part{fd, i})
		opaque, err := isOpaque(fd)
		if err != nil {
			m.close()
			return nil, err
		}
		if opaque {
			break
		}
	}
	return m, nil
}

func (m merged) close() {
	for _, p := range m {
		unix.Close(p.fd)
	}
}

// entry finds the visible entry name, and the part it lies in.
func (m merged) entry(name string) (at part, st unix.Stat_t, ok bool, err error) {
	for _, p := range m {
		st, err := lstatat(p.fd, name)
		switch {
		case err == unix.ENOENT:
			continue
		case err != nil:
			return part{}, st, false, err
		}
		return p, st, !IsWhiteout(&st), nil
	}
	return part{}, st, false, nil
}

// sub opens the merged directory name, which has no parts if there is none.
func (m merged) sub(name string) (merged, error) {
	var s merged
	for _, p := range m {
		fd, err := openat(p.fd, name, openDirFlags, 0)
		switch err {
		case nil:
		case unix.ENOENT:
			continue
		case unix.ENOTDIR, unix.ELOOP:
			return s, nil // a whiteout or another file hides what lies deeper
		default:
			s.close()
			return nil, err
		}
		s = append(s, part{fd, p.tree})
		opaque, err := isOpaque(fd)
		if err != nil {
			s.close()
			return nil, err
		}
		if opaque {
			break
		}
	}
	return s, nil
}
