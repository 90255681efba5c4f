//go:build linux

package safepath

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// tree makes a root with links that try to leave it, beside a file outside.
func tree(t testing.TB) *os.File {
	t.Helper()
	top := t.TempDir()
	root := filepath.Join(top, "root")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(root, "dir/sub"), 0o755))
	must(os.WriteFile(filepath.Join(top, "secret"), []byte("outside"), 0o644))
	must(os.WriteFile(filepath.Join(root, "secret"), []byte("inside"), 0o644))
	must(os.WriteFile(filepath.Join(root, "dir/file"), []byte("file"), 0o644))
	for name, target := range map[string]string{
		"abs":      "/dir",
		"rel":      "dir",
		"up":       "../../../..",
		"upsecret": "../secret",
		"dir/back": "../secret",
		"dir/esc":  "../../../secret",
		"abssec":   "/secret",
		"chain":    "abs/../rel/sub/..",
		"loop":     "loop",
		"ping":     "pong",
		"pong":     "ping",
		"dangling": "no/such",
		"newfile":  "dir/made",
		"slash":    "dir/file/",
		"dot":      ".",
		"host":     top + "/secret",
		"proc":     "/proc/self/root",
	} {
		must(os.Symlink(target, filepath.Join(root, name)))
	}
	must(unix.Mkfifo(filepath.Join(root, "fifo"), 0o600))
	f, err := OpenRoot(root)
	must(err)
	t.Cleanup(func() { f.Close() })
	return f
}

var openPaths = []string{
	"", "/", ".", "..", "../..", "//", "dir", "dir/", "/dir/sub", "dir/sub/", "dir/sub/..", "dir/../dir/file",
	"abs/file", "rel/file", "up/secret", "upsecret", "dir/back", "dir/esc", "abssec", "../secret", "/../../secret",
	"chain/file", "chain", "abs", "abs/", "abs/..", "abs/.", "loop", "loop/x", "ping", "dangling", "dangling/x",
	"newfile", "secret/", "secret/x", "secret/.", "slash", "none", "none/x", "none/", "dir/none", "dot/dot/dir/file",
	"host", "proc", "fifo/", "dir/file/..", "dir//sub///", strings.Repeat("x", 256), strings.Repeat("a/", 3000), "a\x00b",
}

var openFlags = map[string]int{
	"path":      unix.O_PATH,
	"nofollow":  unix.O_PATH | unix.O_NOFOLLOW,
	"directory": unix.O_RDONLY | unix.O_DIRECTORY,
	"dirnofol":  unix.O_PATH | unix.O_NOFOLLOW | unix.O_DIRECTORY,
	"read":      unix.O_RDONLY | unix.O_NONBLOCK,
	"readnofol": unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW,
	"create":    unix.O_RDWR | unix.O_CREAT,
	"exclusive": unix.O_RDWR | unix.O_CREAT | unix.O_EXCL,
	"creatnofo": unix.O_RDWR | unix.O_CREAT | unix.O_NOFOLLOW,
}

// where says what open gave: an error number, or the file relative to the
// directory that holds the root.
func where(t testing.TB, root *os.File, fd int, err error) string {
	t.Helper()
	if err != nil {
		return "error: " + err.Error()
	}
	defer unix.Close(fd)
	base, err := os.Readlink(procFD(int(root.Fd())))
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.Readlink(procFD(fd))
	if err != nil {
		t.Fatal(err)
	}
	rel, err := filepath.Rel(filepath.Dir(base), p)
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// TestWalkLikeKernel holds the fallback against openat2, on trees of their own
// because some flags create.
func TestWalkLikeKernel(t *testing.T) {
	if !hasOpenat2() {
		t.Skip("needs openat2 (Linux 5.6)")
	}
	for name, flags := range openFlags {
		t.Run(name, func(t *testing.T) {
			a, b := tree(t), tree(t)
			for _, p := range openPaths {
				if flags&unix.O_CREAT != 0 {
					a, b = tree(t), tree(t)
				}
				arg := p
				if arg == "" {
					arg = "." // as open does
				}
				fd, err := openat2(int(a.Fd()), arg, flags, 0o600)
				want := where(t, a, fd, err)
				fd, err = walkOpen(int(b.Fd()), arg, flags, 0o600)
				if got := where(t, b, fd, err); got != want {
					t.Errorf("%.40q: walk %s, kernel %s", p, got, want)
				}
				if !strings.HasPrefix(want, "root") && !strings.HasPrefix(want, "error") {
					t.Errorf("%.40q leads out of the root to %s", p, want)
				}
			}
		})
	}
}

func TestOpenParent(t *testing.T) {
	for _, tt := range []struct {
		path, dir, base string
	}{
		{"dir/file", "root/dir", "file"},
		{"dir/sub/", "root/dir", "sub"},
		{"abs/new", "root/dir", "new"},
		{"/secret", "root", "secret"},
		{"upsecret", "root", "upsecret"},
		{"up/x", "root", "x"},
		{"", "root", "."},
		{"/", "root", "."},
		{"..", "root", "."},
		{"dir/sub/..", "root/dir", "."},
		{"abs/.", "root/dir", "."},
		{"none/x", "error: no such file or directory", ""},
		{"secret/x", "error: not a directory", ""},
		{"loop/x", "error: too many levels of symbolic links", ""},
	} {
		root := tree(t)
		dir, base, err := OpenParent(root, tt.path)
		fd := -1
		if err == nil {
			fd = int(dir.Fd())
			defer dir.Close()
			if fd, err = unix.Dup(fd); err != nil {
				t.Fatal(err)
			}
		} else {
			err = errors.Unwrap(err)
		}
		if got := where(t, root, fd, err); got != tt.dir || base != tt.base {
			t.Errorf("%q: %s and %q, want %s and %q", tt.path, got, base, tt.dir, tt.base)
		}
	}
}

func TestMkdirAll(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	for _, tt := range []struct {
		path string
		want []string // made, parents first; or the error
	}{
		{"a/b/c", []string{"root/a", "root/a/b", "root/a/b/c"}},
		{"/dir/sub", nil},
		{"dir/sub/x/", []string{"root/dir/sub/x"}},
		{"abs/x", []string{"root/dir/x"}},
		{"dangling/x", []string{"root/no", "root/no/such", "root/no/such/x"}},
		{"dangling", []string{"root/no", "root/no/such"}},
		{"../../x", []string{"root/x"}},
		{"up/y", []string{"root/y"}},
		{"a/../b", []string{"root/a", "root/b"}},
		{"secret/x", []string{"error: not a directory"}},
		{"loop/x", []string{"error: too many levels of symbolic links"}},
	} {
		t.Run(tt.path, func(t *testing.T) {
			root := tree(t)
			var made []string
			d, err := MkdirAll(root, tt.path, 0o2755, func(dir *os.File) error {
				fd, err := unix.Dup(int(dir.Fd()))
				made = append(made, where(t, root, fd, err))
				return nil
			})
			if err != nil {
				made = append(made, "error: "+errors.Unwrap(err).Error())
			} else {
				defer d.Close()
				st, err := Stat(root, tt.path)
				var got unix.Stat_t
				if err == nil {
					err = unix.Fstat(int(d.Fd()), &got)
				}
				if err != nil || got.Ino != st.Ino {
					t.Errorf("gave inode %d, want %d (%v)", got.Ino, st.Ino, err)
				}
				if len(tt.want) > 0 && got.Mode&0o7777 != 0o2755 {
					t.Errorf("mode %o", got.Mode)
				}
			}
			if diff := cmp.Diff(tt.want, made); diff != "" {
				t.Errorf("made (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRead(t *testing.T) {
	root := tree(t)
	// To open this one would be ENXIO: there is no such device.
	err := unix.Mknodat(int(mustOpen(t, root, ".").Fd()), "device", unix.S_IFCHR|0o600, int(unix.Mkdev(4095, 7)))
	if errors.Is(err, unix.EPERM) {
		err = unix.Symlinkat("fifo", int(mustOpen(t, root, ".").Fd()), "device")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path  string
		limit int64
		want  string
		err   error
	}{
		{"secret", 6, "inside", nil},
		{"upsecret", 100, "inside", nil},
		{"dir/esc", 100, "inside", nil},
		{"secret", 5, "", errs.ErrTooLarge},
		{"dir", 100, "", errs.ErrInvalid},
		{"fifo", 100, "", errs.ErrInvalid},
		{"device", 100, "", errs.ErrInvalid},
		{"none", 100, "", os.ErrNotExist},
		{"host", 100, "", os.ErrNotExist},
	} {
		got, err := ReadFile(root, tt.path, tt.limit)
		if string(got) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("read %s, limit %d: %q, %v; want %q, %v", tt.path, tt.limit, got, err, tt.want, tt.err)
		}
	}
	if got, err := Readlink(root, "abs/esc"); got != "../../../secret" || err != nil {
		t.Errorf("readlink: %q, %v", got, err)
	}
	if _, err := Readlink(root, "secret"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("readlink of a file: %v", err)
	}
	long := strings.Repeat("x/", 1000)
	if err := unix.Symlinkat(long, int(mustOpen(t, root, ".").Fd()), "long"); err != nil {
		t.Fatal(err)
	}
	if got, err := Readlink(root, "long"); got != long || err != nil {
		t.Errorf("readlink of a long target: %d bytes, %v", len(got), err)
	}
	if st, err := Lstat(root, "loop"); err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
		t.Errorf("lstat: mode %o, %v", st.Mode, err)
	}
	if st, err := Stat(root, "abs"); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		t.Errorf("stat: mode %o, %v", st.Mode, err)
	}
}

func mustOpen(t testing.TB, root *os.File, path string) *os.File {
	t.Helper()
	f, err := Open(root, path, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestOpenRace renames a directory out of the root while it is walked: a ".."
// must not lead outside.
func TestOpenRace(t *testing.T) {
	root := tree(t)
	base, err := os.Readlink(procFD(int(root.Fd())))
	if err != nil {
		t.Fatal(err)
	}
	inside, outside := filepath.Join(base, "dir/sub"), filepath.Join(filepath.Dir(base), "gone")
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_ = os.Rename(inside, outside)
				_ = os.Rename(outside, inside)
			}
		}
	}()
	for range 2000 {
		for _, call := range []func(int, string, int, uint32) (int, error){openat2, walkOpen} {
			fd, err := call(int(root.Fd()), "dir/sub/../../secret", unix.O_RDONLY, 0)
			if err != nil {
				continue
			}
			b := make([]byte, 16)
			n, err := unix.Read(fd, b)
			unix.Close(fd)
			if err != nil || string(b[:n]) != "inside" {
				t.Fatalf("read %q, %v", b[:n], err)
			}
		}
	}
	close(stop)
	<-done
}

func FuzzOpen(f *testing.F) {
	for _, p := range openPaths {
		f.Add(p)
	}
	if !hasOpenat2() {
		f.Skip("needs openat2 (Linux 5.6)")
	}
	root := tree(f)
	f.Fuzz(func(t *testing.T, p string) {
		if p == "" {
			return
		}
		fd, err := openat2(int(root.Fd()), p, unix.O_PATH, 0)
		want := where(t, root, fd, err)
		fd, err = walkOpen(int(root.Fd()), p, unix.O_PATH, 0)
		if got := where(t, root, fd, err); got != want {
			t.Errorf("%q: walk %s, kernel %s", p, got, want)
		}
		if !strings.HasPrefix(want, "root") && !strings.HasPrefix(want, "error") {
			t.Errorf("%q leads out of the root to %s", p, want)
		}
	})
}
