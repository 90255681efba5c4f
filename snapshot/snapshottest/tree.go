//go:build linux

package snapshottest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A spec describes a tree: by path, what is there. Parents are made.
//
//	"text"       a file with that text
//	dir, opaque  a directory, an opaque one
//	whiteout     a whiteout
//	"-> target"  a symlink
//	"= path"     a hard link to a path that sorts before
type spec map[string]string

const (
	dir      = "<dir>"
	opaque   = "<opaque>"
	whiteout = "<whiteout>"
)

// opaqueNames are the attributes of an opaque directory: what overlayfs takes in
// the initial user namespace, and what it takes in others, where the first cannot be set.
var opaqueNames = []string{"trusted.overlay.opaque", "user.overlay.opaque"}

func setOpaque(path string) error {
	var err error
	for _, name := range opaqueNames {
		if err = unix.Lsetxattr(path, name, []byte("y"), 0); err == nil {
			return nil
		}
	}
	return err
}

func isOpaque(path string) bool {
	for _, name := range opaqueNames {
		var v [8]byte
		if n, err := unix.Lgetxattr(path, name, v[:]); err == nil && string(v[:n]) == "y" {
			return true
		}
	}
	return false
}

// write makes the tree that s describes below root.
func (s spec) write(t testing.TB, root string) {
	t.Helper()
	paths := make([]string, 0, len(s))
	for p := range s {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	for _, p := range paths {
		full := filepath.Join(root, p)
		err := os.MkdirAll(filepath.Dir(full), 0o755)
		if err == nil {
			err = s.entry(root, full, s[p])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (s spec) entry(root, path, what string) error {
	switch {
	case what == dir:
		return os.MkdirAll(path, 0o755)
	case what == opaque:
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		return setOpaque(path)
	case what == whiteout:
		return unix.Mknod(path, unix.S_IFCHR, 0)
	case strings.HasPrefix(what, "-> "):
		return os.Symlink(what[3:], path)
	case strings.HasPrefix(what, "= "):
		return os.Link(filepath.Join(root, what[2:]), path)
	}
	return os.WriteFile(path, []byte(what), 0o644)
}

// list describes the tree at root as a spec with all its directories. Hard links
// show as such behind the first name.
func list(t testing.TB, root string) spec {
	t.Helper()
	out, first := spec{}, map[uint64]string{}
	err := filepath.WalkDir(root+"/.", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || rel == "." {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		what, err := describe(path, &st)
		if st.Nlink > 1 && what != dir && what != opaque {
			if f, ok := first[st.Ino]; ok {
				what = "= " + f
			}
			first[st.Ino] = rel
		}
		out[rel] = what
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func describe(path string, st *unix.Stat_t) (string, error) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if isOpaque(path) {
			return opaque, nil
		}
		return dir, nil
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		return "-> " + target, err
	case unix.S_IFREG:
		b, err := os.ReadFile(path)
		return string(b), err
	case unix.S_IFCHR:
		if st.Rdev == 0 {
			return whiteout, nil
		}
	}
	return fmt.Sprintf("<mode %o, device %d>", st.Mode, st.Rdev), nil
}

// metadata describes what else there is to an entry.
func metadata(t testing.TB, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 256)
	n, err := unix.Lgetxattr(path, "user.snapshottest", buf)
	if err != nil {
		n = 0
	}
	return fmt.Sprintf("mode %o owner %d:%d mtime %d.%09d device %d attribute %q",
		st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec, st.Rdev, buf[:n])
}
