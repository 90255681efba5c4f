//go:build linux

package snapshottest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/snapshot"
)

// childEnv tells the test binary that it is to be killed.
const childEnv = "MICA_SNAPSHOTTEST_DIR"

// Run checks the Mounter that factory makes; each test gets a new one.
func Run(t *testing.T, factory func(t testing.TB) snapshot.Mounter) {
	if base := os.Getenv(childEnv); base != "" {
		waitToBeKilled(t, factory(t), base)
		return
	}
	t.Run("Stack", func(t *testing.T) { testStack(t, factory) })
	t.Run("Write", func(t *testing.T) { testWrite(t, factory) })
	for _, tt := range []struct {
		name string
		test func(*testing.T, snapshot.Mounter)
	}{
		{"Metadata", testMetadata},
		{"FreshRoot", testFreshRoot},
		{"UsedUpper", testUsedUpper},
		{"ManyLayers", testManyLayers},
		{"SameLayerTwice", testSameLayerTwice},
		{"LongPaths", testLongPaths},
		{"ReadOnly", testReadOnly},
		{"OneDirectory", testOneDirectory},
		{"Nothing", testNothing},
		{"Cancelled", testCancelled},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, factory(t)) })
	}
	name := t.Name()
	t.Run("Killed", func(t *testing.T) { testKilled(t, name) })
}

// stack makes directories of specs and gives a request for them, with an upper
// directory.
func stack(t testing.TB, lowers ...spec) snapshot.Request {
	t.Helper()
	base := t.TempDir()
	r := snapshot.Request{Upper: filepath.Join(base, "upper"), Work: filepath.Join(base, "work")}
	for i, s := range lowers {
		d := filepath.Join(base, fmt.Sprint("lower", i))
		r.Lower = append(r.Lower, d)
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
		s.write(t, d)
	}
	for _, d := range []string{r.Upper, r.Work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func mount(t testing.TB, m snapshot.Mounter, r snapshot.Request) *snapshot.Tree {
	t.Helper()
	tree, err := m.Mount(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	return tree
}

func compare(t testing.TB, what string, want, got spec) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func testStack(t *testing.T, factory func(testing.TB) snapshot.Mounter) {
	tests := []struct {
		name   string
		lowers []spec
		want   spec
	}{
		{"upper files win", []spec{{"a": "1", "b": "1"}, {"b": "2", "c": "2"}}, spec{"a": "1", "b": "2", "c": "2"}},
		{"directories merge", []spec{{"d/a": "1"}, {"d/b": "2"}}, spec{"d": dir, "d/a": "1", "d/b": "2"}},
		{"whiteout hides a file", []spec{{"a": "1", "b": "1"}, {"a": whiteout}}, spec{"b": "1"}},
		{"whiteout hides a tree", []spec{{"d/e/f": "1", "b": "1"}, {"d": whiteout}}, spec{"b": "1"}},
		{"hidden and made again", []spec{{"d/old": "1"}, {"d": whiteout}, {"d/new": "3"}}, spec{"d": dir, "d/new": "3"}},
		{"opaque hides what is below", []spec{{"d/old": "1", "d/e/f": "1"}, {"d": opaque, "d/new": "2"}}, spec{"d": dir, "d/new": "2"}},
		{"file over directory", []spec{{"x/y": "1"}, {"x": "2"}}, spec{"x": "2"}},
		{"directory over file", []spec{{"x": "1"}, {"x/y": "2"}}, spec{"x": dir, "x/y": "2"}},
		{"directory over symlink", []spec{{"x": "-> etc", "etc/a": "1"}, {"x/a": "2"}}, spec{"etc": dir, "etc/a": "1", "x": dir, "x/a": "2"}},
		{"symlink over directory", []spec{{"x/a": "1"}, {"x": "-> /nowhere"}}, spec{"x": "-> /nowhere"}},
		{"symlinks are not followed", []spec{{"d": "-> /etc"}, {"e": "2"}}, spec{"d": "-> /etc", "e": "2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := factory(t)
			r := stack(t, tt.lowers...)
			compare(t, "writable tree", tt.want, list(t, mount(t, m, r).Path()))
			compare(t, "read-only tree", tt.want, list(t, mount(t, m, snapshot.Request{Lower: r.Lower}).Path()))
		})
	}
}

// base is what most writes start from.
var base = []spec{
	{"etc/passwd": "root", "etc/group": "root", "usr/bin/tool": "v1", "usr/lib/a": "a", "usr/lib/b": "b", "link": "-> usr"},
	{"usr/bin/tool": "v2", "tmp": dir},
}

func testWrite(t *testing.T, factory func(testing.TB) snapshot.Mounter) {
	tests := []struct {
		name  string
		write func(root string) error
		upper spec // what the upper directory must hold
	}{
		{"nothing", func(string) error { return nil }, spec{}},
		{
			"new files",
			func(root string) error { return os.WriteFile(root+"/tmp/new", []byte("x"), 0o644) },
			spec{"tmp": dir, "tmp/new": "x"},
		},
		{
			"changed file",
			func(root string) error { return os.WriteFile(root+"/usr/bin/tool", []byte("v3"), 0o644) },
			spec{"usr": dir, "usr/bin": dir, "usr/bin/tool": "v3"},
		},
		{
			"changed without a new size or time",
			func(root string) error {
				p := root + "/usr/bin/tool"
				st, err := os.Stat(p)
				if err != nil {
					return err
				}
				f, err := os.OpenFile(p, os.O_WRONLY, 0)
				if err != nil {
					return err
				}
				defer f.Close()
				if _, err := f.WriteString("V2"); err != nil {
					return err
				}
				return os.Chtimes(p, st.ModTime(), st.ModTime())
			},
			spec{"usr": dir, "usr/bin": dir, "usr/bin/tool": "V2"},
		},
		{
			"mode only",
			func(root string) error { return os.Chmod(root+"/etc/group", 0o600) },
			spec{"etc": dir, "etc/group": "root"},
		},
		{
			"deleted file",
			func(root string) error { return os.Remove(root + "/etc/passwd") },
			spec{"etc": dir, "etc/passwd": whiteout},
		},
		{
			"deleted tree",
			func(root string) error { return os.RemoveAll(root + "/usr") },
			spec{"usr": whiteout},
		},
		{
			"made and deleted",
			func(root string) error {
				if err := os.WriteFile(root+"/brief", nil, 0o644); err != nil {
					return err
				}
				return os.Remove(root + "/brief")
			},
			spec{},
		},
		{
			"directory made again",
			func(root string) error {
				if err := os.RemoveAll(root + "/usr/lib"); err != nil {
					return err
				}
				if err := os.Mkdir(root+"/usr/lib", 0o755); err != nil {
					return err
				}
				return os.WriteFile(root+"/usr/lib/a", []byte("a"), 0o644)
			},
			spec{"usr": dir, "usr/lib": opaque, "usr/lib/a": "a"},
		},
		{
			"file in place of a directory",
			func(root string) error {
				if err := os.RemoveAll(root + "/usr/lib"); err != nil {
					return err
				}
				return os.WriteFile(root+"/usr/lib", []byte("x"), 0o644)
			},
			spec{"usr": dir, "usr/lib": "x"},
		},
		{
			"directory in place of a file",
			func(root string) error {
				if err := os.Remove(root + "/etc/group"); err != nil {
					return err
				}
				return os.MkdirAll(root+"/etc/group", 0o755)
			},
			nil, // overlayfs marks it opaque, which is no difference
		},
		{
			"hard links",
			func(root string) error {
				if err := os.WriteFile(root+"/tmp/a", []byte("x"), 0o644); err != nil {
					return err
				}
				return os.Link(root+"/tmp/a", root+"/tmp/b")
			},
			spec{"tmp": dir, "tmp/a": "x", "tmp/b": "= tmp/a"},
		},
		{
			"hard link to a lower file",
			func(root string) error { return os.Link(root+"/etc/passwd", root+"/etc/shadow") },
			spec{"etc": dir, "etc/passwd": "root", "etc/shadow": "= etc/passwd"},
		},
		{
			"renamed file",
			func(root string) error { return os.Rename(root+"/etc/passwd", root+"/tmp/passwd") },
			spec{"etc": dir, "etc/passwd": whiteout, "tmp": dir, "tmp/passwd": "root"},
		},
		{
			"symlink and fifo",
			func(root string) error {
				if err := os.Symlink("/etc/passwd", root+"/tmp/s"); err != nil {
					return err
				}
				return unix.Mkfifo(root+"/tmp/p", 0o600)
			},
			spec{"tmp": dir, "tmp/s": "-> /etc/passwd", "tmp/p": fmt.Sprintf("<mode %o, device 0>", unix.S_IFIFO|0o600)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := factory(t)
			r := stack(t, base...)
			lowers := make([]spec, len(r.Lower))
			for i, d := range r.Lower {
				lowers[i] = list(t, d)
			}
			tree := mount(t, m, r)
			if err := tt.write(tree.Path()); err != nil {
				t.Fatal(err)
			}
			want := list(t, tree.Path())
			if err := tree.Settle(); err != nil {
				t.Fatal(err)
			}
			if err := tree.Close(); err != nil {
				t.Fatal(err)
			}
			if tt.upper != nil {
				compare(t, "upper directory", tt.upper, list(t, r.Upper))
			}
			again := mount(t, m, snapshot.Request{Lower: append(r.Lower, r.Upper)})
			compare(t, "tree stacked again", want, list(t, again.Path()))
			for i, d := range r.Lower {
				compare(t, "lower directory", lowers[i], list(t, d))
			}
		})
	}
}

func testMetadata(t *testing.T, m snapshot.Mounter) {
	r := stack(t, spec{"d/file": "x", "dev": dir}, spec{"other": "y"})
	file := r.Lower[0] + "/d/file"
	when := time.Unix(1_000_000_000, 123_456_789)
	for _, err := range []error{
		os.Chown(file, 12, 34),
		unix.Chmod(file, 0o4755),
		unix.Lsetxattr(file, "user.snapshottest", []byte("kept"), 0),
		unix.Mknod(r.Lower[0]+"/dev/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		os.Symlink("x", r.Lower[0]+"/d/link"),
		os.Lchown(r.Lower[0]+"/d/link", 56, 78),
		os.Chtimes(file, when, when),
		os.Chtimes(r.Lower[0]+"/d", when, when),
	} {
		if errors.Is(err, unix.EINVAL) {
			t.Skipf("needs several user ids: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tree := mount(t, m, r)
	for _, p := range []string{"d", "d/file", "d/link", "dev/null", "other"} {
		from := r.Lower[0]
		if p == "other" {
			from = r.Lower[1]
		}
		if diff := cmp.Diff(metadata(t, filepath.Join(from, p)), metadata(t, tree.Path()+"/"+p)); diff != "" {
			t.Errorf("%s (-layer +tree):\n%s", p, diff)
		}
	}
}

// testFreshRoot checks that the root of the tree is that of the topmost layer.
func testFreshRoot(t *testing.T, m snapshot.Mounter) {
	r := stack(t, spec{"a": "1"}, spec{"b": "2"})
	top := r.Lower[1]
	when := time.Unix(1_000_000_000, 0)
	for _, err := range []error{
		os.Chown(top, 7, 8),
		unix.Chmod(top, 0o1711),
		unix.Lsetxattr(top, "user.snapshottest", []byte("root"), 0),
		os.Chtimes(top, when, when),
	} {
		if errors.Is(err, unix.EINVAL) {
			t.Skipf("needs several user ids: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := metadata(t, top)
	tree := mount(t, m, r)
	if diff := cmp.Diff(want, metadata(t, tree.Path()+"/.")); diff != "" {
		t.Errorf("root of the tree (-want +got):\n%s", diff)
	}
	if err := os.WriteFile(tree.Path()+"/new", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := tree.Settle(); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(r.Upper, &st); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%o %d:%d", st.Mode&0o7777, st.Uid, st.Gid); got != "1711 7:8" {
		t.Errorf("upper directory is %s, want 1711 7:8", got)
	}
}

// testUsedUpper checks that an upper directory can be taken up again.
func testUsedUpper(t *testing.T, m snapshot.Mounter) {
	r := stack(t, base...)
	steps := []func(root string) error{
		func(root string) error { return os.WriteFile(root+"/tmp/one", []byte("1"), 0o644) },
		func(root string) error { return os.RemoveAll(root + "/usr/lib") },
		func(root string) error { return os.Remove(root + "/tmp/one") },
	}
	for i, step := range steps {
		r.Work = filepath.Join(filepath.Dir(r.Upper), fmt.Sprint("work", i))
		if err := os.Mkdir(r.Work, 0o755); err != nil {
			t.Fatal(err)
		}
		tree := mount(t, m, r)
		if err := step(tree.Path()); err != nil {
			t.Fatal(err)
		}
		if err := tree.Settle(); err != nil {
			t.Fatal(err)
		}
		if err := tree.Close(); err != nil {
			t.Fatal(err)
		}
	}
	tree := mount(t, m, snapshot.Request{Lower: append(r.Lower, r.Upper)})
	want := spec{
		"etc": dir, "etc/passwd": "root", "etc/group": "root", "usr": dir, "usr/bin": dir, "usr/bin/tool": "v2",
		"link": "-> usr", "tmp": dir,
	}
	compare(t, "tree", want, list(t, tree.Path()))
}

func testManyLayers(t *testing.T, m snapshot.Mounter) {
	const n = 130
	var lowers []spec
	want := spec{"d": dir, "top": fmt.Sprint(n - 1)}
	for i := range n {
		name := fmt.Sprintf("d/%03d", i)
		lowers = append(lowers, spec{name: "x", "top": fmt.Sprint(i)})
		want[name] = "x"
	}
	compare(t, "tree", want, list(t, mount(t, m, stack(t, lowers...)).Path()))
}

func testSameLayerTwice(t *testing.T, m snapshot.Mounter) {
	r := stack(t, spec{"a": "1", "b": "1"}, spec{"a": "2", "c": whiteout}, spec{"c": "3"})
	r.Lower = append(r.Lower, r.Lower[1])
	compare(t, "tree", spec{"a": "2", "b": "1"}, list(t, mount(t, m, r).Path()))
}

func testLongPaths(t *testing.T, m snapshot.Mounter) {
	parent := t.TempDir()
	for len(parent) < 3000 {
		parent = filepath.Join(parent, strings.Repeat("n", 200))
	}
	r := stack(t)
	for i := range 3 {
		d := filepath.Join(parent, fmt.Sprint(i))
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		spec{fmt.Sprint("f", i): "x"}.write(t, d)
		r.Lower = append(r.Lower, d)
	}
	compare(t, "tree", spec{"f0": "x", "f1": "x", "f2": "x"}, list(t, mount(t, m, r).Path()))
}

// testReadOnly checks that no layer can be written through a tree of several.
func testReadOnly(t *testing.T, m snapshot.Mounter) {
	r := stack(t, spec{"a": "1", "d/e": "1"}, spec{"b": "2"})
	tree := mount(t, m, snapshot.Request{Lower: r.Lower})
	root := tree.Path()
	_ = os.WriteFile(root+"/a", []byte("changed"), 0o644)
	_ = os.Chmod(root+"/b", 0o600)
	_ = os.RemoveAll(root + "/d")
	_ = os.Chmod(root+"/.", 0o700)
	compare(t, "lower layer", spec{"a": "1", "d": dir, "d/e": "1"}, list(t, r.Lower[0]))
	compare(t, "upper layer", spec{"b": "2"}, list(t, r.Lower[1]))
	if st, err := os.Stat(r.Lower[1] + "/b"); err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("mode of b: %v, %v, want 0644", st.Mode(), err)
	}
	if st, err := os.Stat(r.Lower[1]); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("mode of the layer: %v, %v, want 0755", st.Mode(), err)
	}
}

func testOneDirectory(t *testing.T, m snapshot.Mounter) {
	r := stack(t, spec{"a": "1"})
	compare(t, "one lower directory", spec{"a": "1"}, list(t, mount(t, m, snapshot.Request{Lower: r.Lower}).Path()))
	tree := mount(t, m, snapshot.Request{Upper: r.Upper, Work: r.Work})
	if err := os.WriteFile(tree.Path()+"/new", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := tree.Settle(); err != nil {
		t.Fatal(err)
	}
	compare(t, "upper directory alone", spec{"new": "x"}, list(t, r.Upper))
}

func testNothing(t *testing.T, m snapshot.Mounter) {
	for _, r := range []snapshot.Request{
		{},
		{Lower: []string{filepath.Join(t.TempDir(), "absent")}},
		{Lower: []string{t.TempDir(), filepath.Join(t.TempDir(), "absent")}},
	} {
		if tree, err := m.Mount(t.Context(), r); err == nil {
			tree.Close()
			t.Errorf("mount of %v: no error", r)
		}
	}
}

func testCancelled(t *testing.T, m snapshot.Mounter) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := stack(t, spec{"a": "1"}, spec{"b": "2"})
	if tree, err := m.Mount(ctx, r); err == nil {
		tree.Close()
		t.Error("no error although the context had ended")
	}
}

// testKilled checks that a process that dies leaves no mount and holds nothing.
func testKilled(t *testing.T, test string) {
	base := t.TempDir()
	before := mounts(t, base)
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), childEnv+"="+base, "TMPDIR="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "mounted" {
		t.Fatalf("child says %q, %v", line, err)
	}
	if diff := cmp.Diff(before, mounts(t, base)); diff != "" {
		t.Errorf("the mount shows (-before +now):\n%s", diff)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "killed"
	if diff := cmp.Diff(before, mounts(t, base)); diff != "" {
		t.Errorf("a killed process leaves mounts (-before +after):\n%s", diff)
	}
	if err := os.RemoveAll(base); err != nil {
		t.Errorf("a killed process holds its directories: %v", err)
	}
}

// mounts gives the mount table's lines of overlay mounts that may be of layers
// below base: they name it, or layers by descriptors. Others on this machine
// come and go.
func mounts(t testing.TB, base string) []string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		ours := strings.Contains(line, base) || strings.Contains(line, "/proc/self/fd/")
		if ours && strings.Contains(line, " - overlay ") {
			out = append(out, line)
		}
	}
	return out
}

func waitToBeKilled(t *testing.T, m snapshot.Mounter, base string) {
	r := snapshot.Request{Upper: base + "/upper", Work: base + "/work", Lower: []string{base + "/a", base + "/b"}}
	for _, d := range append(r.Lower, r.Upper, r.Work) {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tree := mount(t, m, r)
	if err := os.WriteFile(tree.Path()+"/f", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	fmt.Println("mounted")
	time.Sleep(time.Minute)
}
