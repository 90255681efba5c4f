//go:build linux

package layer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/testenv"
)

// node is one file a test wants or finds.
type node struct {
	Mode    uint32 // with the type bits
	UID     uint32
	GID     uint32
	Rdev    uint64
	Mtime   string // seconds and nanoseconds; empty where a test does not set it
	Target  string
	Content string // long content by its hash
	Xattrs  map[string]string
	Same    string // the first name of the same file
	Opaque  bool
}

// scan describes the tree at dir by path.
func scan(t testing.TB, dir string) map[string]node {
	t.Helper()
	got := map[string]node{}
	first := map[fileID]string{}
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		n := node{Mode: st.Mode, UID: st.Uid, GID: st.Gid, Rdev: uint64(st.Rdev)}
		n.Mtime = fmt.Sprintf("%d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			if n.Target, err = os.Readlink(p); err != nil {
				return err
			}
		case unix.S_IFREG:
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			n.Content = short(b)
		}
		x, err := readPathAttrs(p)
		if err != nil {
			return err
		}
		n.Xattrs, n.Opaque = x.carried, x.opaque
		if IsWhiteout(&st) {
			n = node{Mode: unix.S_IFCHR} // its other attributes mean nothing
		} else if st.Nlink > 1 && !isDir(&st) {
			if name, ok := first[idOf(&st)]; ok {
				n.Same = name
			} else {
				first[idOf(&st)] = rel
			}
		}
		got[rel] = n
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func readPathAttrs(p string) (attrs, error) {
	return parseAttrs(
		func(b []byte) (int, error) { return unix.Llistxattr(p, b) },
		func(name string, b []byte) (int, error) { return unix.Lgetxattr(p, name, b) })
}

func short(b []byte) string {
	if len(b) <= 64 {
		return string(b)
	}
	sum := sha256.Sum256(b)
	return fmt.Sprintf("%d bytes %s", len(b), hex.EncodeToString(sum[:4]))
}

// stamp is the whole-second time tests give to files.
var stamp = time.Unix(1600000000, 0)

// fullRoot skips unless the test may use any owner, device and xattr.
func fullRoot(t testing.TB) {
	t.Helper()
	testenv.Root(t)
	if UserXattr() {
		t.Skip("needs root outside of user namespaces")
	}
}

// maker builds trees; every step fails the test.
type maker struct {
	t   testing.TB
	dir string
}

func newMaker(t testing.TB) *maker {
	t.Helper()
	return &maker{t, t.TempDir()}
}

func (m *maker) path(p string) string { return filepath.Join(m.dir, p) }

func (m *maker) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *maker) file(p, content string, mode uint32) {
	m.t.Helper()
	m.must(os.WriteFile(m.path(p), []byte(content), 0o600))
	m.must(unix.Chmod(m.path(p), mode))
}

func (m *maker) mkdir(p string, mode uint32) {
	m.t.Helper()
	m.must(os.Mkdir(m.path(p), 0o700))
	m.must(unix.Chmod(m.path(p), mode))
}

func (m *maker) symlink(p, target string) {
	m.t.Helper()
	m.must(os.Symlink(target, m.path(p)))
}

func (m *maker) link(p, old string) {
	m.t.Helper()
	m.must(os.Link(m.path(old), m.path(p)))
}

func (m *maker) node(p string, mode uint32, major, minor uint32) {
	m.t.Helper()
	m.must(unix.Mknod(m.path(p), mode, int(unix.Mkdev(major, minor))))
}

func (m *maker) whiteout(p string) { m.t.Helper(); m.node(p, unix.S_IFCHR, 0, 0) }

func (m *maker) xattr(p, name, value string) {
	m.t.Helper()
	err := unix.Lsetxattr(m.path(p), name, []byte(value), 0)
	if err == unix.ENOTSUP {
		m.t.Skipf("needs a file system with xattrs: %s: %v", name, err)
	}
	m.must(err)
}

func (m *maker) opaque(p string) { m.t.Helper(); m.xattr(p, overlayPrefix()+"opaque", "y") }

func (m *maker) chown(p string, uid, gid int) { m.t.Helper(); m.must(os.Lchown(m.path(p), uid, gid)) }

func (m *maker) touch(p string, when time.Time) {
	m.t.Helper()
	ts := unix.NsecToTimespec(when.UnixNano())
	m.must(unix.UtimesNanoAt(unix.AT_FDCWD, m.path(p), []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
}

// settle gives everything the same whole-second time, children first.
func (m *maker) settle() {
	m.t.Helper()
	var all []string
	m.must(filepath.WalkDir(m.dir, func(p string, _ fs.DirEntry, err error) error {
		all = append(all, p)
		return err
	}))
	sort.Sort(sort.Reverse(sort.StringSlice(all)))
	for _, p := range all {
		if strings.HasSuffix(p, "-time") {
			continue // has its own
		}
		rel, err := filepath.Rel(m.dir, p)
		m.must(err)
		m.touch(rel, stamp)
	}
}
