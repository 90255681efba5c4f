//go:build linux

package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// source makes a directory to be mounted.
func source(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "file", "content\n")
	write(t, dir, "sub/deep", "deep\n")
	os.Symlink("/", filepath.Join(dir, "up"))
	return dir
}

func TestMounts(t *testing.T) {
	src := source(t)
	for _, tt := range []struct {
		name, script, want string
		mounts             func() []Mount
	}{
		{"directory", "cat /mnt/a/file; echo x > /mnt/a/new && cat /mnt/a/new", "content\nx\n", func() []Mount {
			return []Mount{{Source: src, Target: "/mnt/a"}}
		}},
		{"read-only", "cat /mnt/file; echo x > /mnt/no; echo $?", "content\n1\n", func() []Mount {
			return []Mount{{Source: src, Target: "/mnt", ReadOnly: true}}
		}},
		{"file", "cat /run/secret", "content\n", func() []Mount {
			return []Mount{{Source: src + "/file", Target: "/run/secret", ReadOnly: true}}
		}},
		{"open file", "cat /run/secret", "content\n", func() []Mount {
			return []Mount{{SourceFile: openDir(t, src+"/file"), Target: "/run/secret"}}
		}},
		{"subpath", "ls /mnt", "deep\n", func() []Mount {
			return []Mount{{Source: src, Subpath: "/sub", Target: "/mnt"}}
		}},
		{"subpath stays inside", "ls /mnt", "file\nnew\nsub\nup\n", func() []Mount {
			return []Mount{{Source: src, Subpath: "up/../..", Target: "/mnt"}}
		}},
		{"tmpfs", "df -k /mnt | awk 'NR==2 {print $2}'; stat -c %a /mnt", "64\n700\n", func() []Mount {
			return []Mount{{Kind: Tmpfs, Target: "/mnt", Size: 64 << 10, Mode: 0o700}}
		}},
		{"target in a mount", "cat /mnt/x/file", "content\n", func() []Mount {
			return []Mount{{Kind: Tmpfs, Target: "/mnt"}, {Source: src, Target: "/mnt/x"}}
		}},
		{"target by a symbolic link", "cat /real/in/file", "content\n", func() []Mount {
			return []Mount{{Source: src, Target: "/link/in"}}
		}},
		{"target by a dangling link", "cat /elsewhere/file", "content\n", func() []Mount {
			return []Mount{{Source: src, Target: "/dangling"}}
		}},
		{"target by an escaping link", "cat /etc/passwd | head -n 1; cat /tmp/file", "root:x:0:0:root:/root:/bin/sh\ncontent\n", func() []Mount {
			return []Mount{{Source: src, Target: "/escape/tmp"}}
		}},
		{"detached", "cat /mnt/file; cat /mnt2/deep", "content\ndeep\n", func() []Mount {
			f := detached(t, src)
			return []Mount{{SourceFile: f, Target: "/mnt"}, {SourceFile: f, Subpath: "sub", Target: "/mnt2"}}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := rootfs(t)
			os.Mkdir(filepath.Join(dir, "real"), 0o755)
			for name, to := range map[string]string{"link": "/real", "dangling": "/elsewhere", "escape": "../../../.."} {
				if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			before := listTree(t, dir)
			got := run(t, dir, tt.script, func(s *Spec) { s.Mounts = tt.mounts() })
			if got.failure != nil || got.out != tt.want {
				t.Errorf("got %q, stderr %q, error %v, want %q", got.out, got.err, got.failure, tt.want)
			}
			if d := cmp.Diff(before, listTree(t, dir)); d != "" {
				t.Errorf("tree before -, after +:\n%s", d)
			}
		})
	}
}

// detached is a bind mount that is mounted nowhere.
func detached(t testing.TB, dir string) *os.File {
	t.Helper()
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), dir)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestDetachedRoot(t *testing.T) {
	root := detached(t, rootfs(t))
	for range 2 { // the same mount again
		got := run(t, t.TempDir(), "echo ok > /out; cat /out; rm /out", func(s *Spec) { s.Root = root })
		if got.failure != nil || got.out != "ok\n" {
			t.Errorf("got %q, %v", got.out, got.failure)
		}
	}
}

func TestReadonlyRoot(t *testing.T) {
	dir := rootfs(t)
	got := run(t, dir, "echo x > /new; echo $?; echo x > /dev/shm/new; echo $?", func(s *Spec) { s.ReadonlyRoot = true })
	if got.out != "1\n0\n" {
		t.Errorf("got %q, %v", got.out, got.failure)
	}
}

// TestStubs says what of the mount points stays (spec/dockerfile.md, observed 8).
func TestStubs(t *testing.T) {
	src := source(t)
	for _, tt := range []struct {
		name, script string
		gone, stay   []string
	}{
		{
			"untouched", "true",
			[]string{"new/a/b", "new/a", "new", "etc/resolv.conf", "etc/hosts"},
			[]string{"dev", "proc", "sys", "etc"},
		},
		{"parent got a file", "touch /new/file", []string{"new/a/b", "new/a"}, []string{"new/file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := rootfs(t)
			old := time.Unix(1000000000, 5)
			for _, d := range []string{"etc", "."} {
				if err := os.Chtimes(filepath.Join(dir, d), old, old); err != nil {
					t.Fatal(err)
				}
			}
			got := run(t, dir, tt.script, func(s *Spec) { s.Mounts = []Mount{{Source: src, Target: "/new/a/b"}} })
			if got.failure != nil {
				t.Fatal(got.failure, got.err)
			}
			for _, name := range tt.gone {
				if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
					t.Errorf("%s is still there", name)
				}
			}
			for _, name := range tt.stay {
				if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
					t.Error(err)
				}
			}
			for _, d := range []string{"etc", "."} {
				if fi, err := os.Stat(filepath.Join(dir, d)); err != nil || !fi.ModTime().Equal(old) {
					t.Errorf("time of %s: %v, %v, want %v", d, fi.ModTime(), err, old)
				}
			}
		})
	}
}

// TestTimesOfTheCommand: what the command itself changed keeps its time.
func TestTimesOfTheCommand(t *testing.T) {
	dir := rootfs(t)
	old := time.Unix(1000000000, 0)
	if err := os.Chtimes(filepath.Join(dir, "etc"), old, old); err != nil {
		t.Fatal(err)
	}
	got := run(t, dir, "stat -c %Y /etc; touch /etc/new", nil)
	if got.out != "1000000000\n" {
		t.Errorf("the command sees time %q of /etc, %v", got.out, got.failure)
	}
	if fi, err := os.Stat(filepath.Join(dir, "etc")); err != nil || fi.ModTime().Equal(old) {
		t.Error("the time of /etc hides that the command made a file there")
	}
}

// TestHostileRoot: links of the image lead nowhere outside.
func TestHostileRoot(t *testing.T) {
	for _, name := range []string{"proc", "dev", "sys", "etc/resolv.conf", "etc/hosts"} {
		for _, to := range []string{"/tmp/x", "../../../../../../tmp/x", "/proc/1/root/tmp/x"} {
			t.Run(name+" "+to, func(t *testing.T) {
				dir := rootfs(t)
				outside := t.TempDir()
				to := strings.Replace(to, "/tmp/x", outside, 1)
				if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				got := run(t, dir, "grep -c . /etc/hosts; ls /proc/self/exe", nil)
				t.Log(got.out, got.failure)
				entries, err := os.ReadDir(outside)
				if err != nil || len(entries) != 0 {
					t.Errorf("made outside of the root: %v, %v", entries, err)
				}
			})
		}
	}
}
