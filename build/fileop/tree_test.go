//go:build linux

package fileop

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sys/unix"
)

// past is the time of files in test trees.
var past = time.Unix(1500000000, 123456789)

// plant makes a tree from lines: "PATH/ [MODE] [UID:GID]" is a directory,
// "PATH -> TARGET" a link, "PATH => OTHER" a hard link, "PATH p" a fifo, "PATH
// c MAJOR:MINOR" and "PATH b MAJOR:MINOR" devices, "PATH s" a socket, and
// "PATH [MODE] [UID:GID] [=CONTENT]" a file. Parents that no line makes are
// root's, 0755. All get the time past.
func plant(t testing.TB, lines ...string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if err := plantLine(root, line); err != nil {
			t.Fatalf("plant %q: %v", line, err)
		}
	}
	err := filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if err == nil {
			ts := unix.NsecToTimespec(past.UnixNano())
			err = unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func plantLine(root, line string) error {
	words := strings.Fields(line)
	name := filepath.Join(root, words[0])
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	rest := words[1:]
	kind := ""
	if len(rest) > 0 {
		switch rest[0] {
		case "->":
			return os.Symlink(rest[1], name)
		case "=>":
			return os.Link(filepath.Join(root, rest[1]), name)
		case "p", "c", "b", "s":
			kind, rest = rest[0], rest[1:]
		}
	}
	mode, uid, gid, content := uint64(0o644), 0, 0, ""
	dir := strings.HasSuffix(words[0], "/")
	if dir {
		mode = 0o755
	}
	dev := uint64(0)
	for _, w := range rest {
		var err error
		if c, ok := strings.CutPrefix(w, "="); ok {
			content = c
		} else if a, b, ok := strings.Cut(w, ":"); ok {
			x, _ := strconv.Atoi(a)
			y, _ := strconv.Atoi(b)
			if kind != "" {
				dev = unix.Mkdev(uint32(x), uint32(y))
			} else {
				uid, gid = x, y
			}
		} else if mode, err = strconv.ParseUint(w, 8, 32); err != nil {
			return err
		}
	}
	var err error
	switch {
	case dir:
		if err = os.Mkdir(name, 0o755); os.IsExist(err) {
			err = nil
		}
	case kind != "":
		types := map[string]uint32{"p": unix.S_IFIFO, "c": unix.S_IFCHR, "b": unix.S_IFBLK, "s": unix.S_IFSOCK}
		err = unix.Mknod(name, types[kind]|0o600, int(dev))
	default:
		err = os.WriteFile(name, []byte(content), 0o644)
	}
	if err == nil && (uid != 0 || gid != 0) {
		err = unix.Lchown(name, uid, gid)
	}
	if err == nil {
		err = unix.Chmod(name, uint32(mode))
	}
	return err
}

// leaf describes one file of a tree, without times.
func leaf(name string, st *unix.Stat_t, full string) string {
	mode := fmt.Sprintf("%04o", st.Mode&0o7777)
	own := fmt.Sprintf(" %d:%d", st.Uid, st.Gid)
	caps := ""
	buf := make([]byte, 64)
	if n, err := unix.Lgetxattr(full, capsXattr, buf); err == nil {
		caps = fmt.Sprintf(" caps %x", buf[:n])
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return name + "/ " + mode + own
	case unix.S_IFLNK:
		target, _ := os.Readlink(full)
		return name + " -> " + target + own
	case unix.S_IFREG:
		b, _ := os.ReadFile(full)
		return name + " " + mode + own + " =" + string(b) + caps
	case unix.S_IFIFO:
		return name + " p " + mode + own
	case unix.S_IFSOCK:
		return name + " s " + mode + own
	}
	kind := " c "
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		kind = " b "
	}
	return fmt.Sprintf("%s%s%s%s %d:%d", name, kind, mode, own, unix.Major(st.Rdev), unix.Minor(st.Rdev))
}

// list describes the tree at root, sorted, without its root; a name that is a
// hard link says which came first.
func list(t testing.TB, root string) []string {
	t.Helper()
	var lines []string
	first := map[uint64]string{}
	err := filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		name, _ := filepath.Rel(root, p)
		line := leaf(name, &st, p)
		if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink > 1 {
			if f, ok := first[st.Ino]; ok {
				line = name + " => " + f
			} else {
				first[st.Ino] = name
			}
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(lines)
	return lines
}

// open opens a directory until the end of the test.
func open(t testing.TB, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// dockerCopy is the action of a COPY instruction.
func dockerCopy(src, dest string, more ...func(*pb.FileActionCopy)) *pb.FileActionCopy {
	a := &pb.FileActionCopy{
		Src: src, Dest: dest, Mode: -1, Timestamp: -1, FollowSymlink: true,
		DirCopyContents: true, CreateDestPath: true, AllowWildcard: true, AllowEmptyWildcard: true,
	}
	for _, m := range more {
		m(a)
	}
	return a
}

func octal(mode int32) func(*pb.FileActionCopy) {
	return func(a *pb.FileActionCopy) { a.Mode = mode }
}

func symbolic(mode string) func(*pb.FileActionCopy) {
	return func(a *pb.FileActionCopy) { a.ModeStr = mode }
}

func parents(pattern string, required ...string) func(*pb.FileActionCopy) {
	return func(a *pb.FileActionCopy) {
		a.IncludePatterns, a.RequiredPaths = []string{pattern}, required
	}
}

func excluding(patterns ...string) func(*pb.FileActionCopy) {
	return func(a *pb.FileActionCopy) { a.ExcludePatterns = patterns }
}

func unpacking(a *pb.FileActionCopy) { a.AttemptUnpackDockerCompatibility = true }

func plain(a *pb.FileActionCopy) {
	a.DirCopyContents, a.AllowWildcard, a.FollowSymlink = false, false, false
}

func replacing(a *pb.FileActionCopy) { a.AlwaysReplaceExistingDestPaths = true }
