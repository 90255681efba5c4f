//go:build linux

package layer

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/testenv"
)

// paths lists a tree, opaque directories with a mark.
func paths(t testing.TB, dir string) []string {
	t.Helper()
	list := []string{}
	for p, n := range scan(t, dir) {
		if n.Opaque {
			p += " (opaque)"
		}
		list = append(list, p)
	}
	sort.Strings(list)
	return list
}

func TestSettle(t *testing.T) {
	// base is what every case has below its upper directory.
	bottom := func(m *maker) {
		m.mkdir("d", 0o755)
		m.mkdir("d/e", 0o755)
		m.file("d/e/f", "content", 0o644)
		m.file("d/f", "content", 0o644)
		m.symlink("d/l", "f")
		m.mkdir("gone", 0o755)
		m.file("gone/x", "", 0o644)
		m.mkdir("wasdir", 0o755)
		m.file("wasdir/x", "", 0o644)
		m.mkdir("hidden", 0o755)
		m.file("hidden/x", "", 0o644)
	}
	middle := func(m *maker) {
		m.whiteout("gone")
		m.file("wasdir", "now a file", 0o644)
		m.mkdir("hidden", 0o755)
		m.opaque("hidden")
		m.file("hidden/y", "", 0o644)
	}
	copied := func(m *maker) { // as overlayfs leaves it behind after a change taken back
		m.mkdir("d", 0o755)
		m.mkdir("d/e", 0o755)
		m.file("d/e/f", "content", 0o644)
	}
	later := stamp.Add(time.Second)
	for _, tt := range []struct {
		name string
		root bool
		make func(*maker)
		late func(*maker) // after all times were made equal
		want []string
	}{
		{name: "nothing", make: func(*maker) {}, want: []string{}},
		{name: "unchanged", make: copied, want: []string{}},
		{name: "unchanged link", make: func(m *maker) { m.mkdir("d", 0o755); m.symlink("d/l", "f") }, want: []string{}},
		{name: "directory time", make: func(m *maker) { m.mkdir("d", 0o755) }, late: func(m *maker) { m.touch("d", later) }, want: []string{}},
		{name: "content", make: func(m *maker) { copied(m); m.file("d/e/f", "CONTENT", 0o644) }, want: []string{"d", "d/e", "d/e/f"}},
		{name: "size", make: func(m *maker) { copied(m); m.file("d/e/f", "content+", 0o644) }, want: []string{"d", "d/e", "d/e/f"}},
		{name: "mode", make: func(m *maker) { copied(m); m.file("d/e/f", "content", 0o4644) }, want: []string{"d", "d/e", "d/e/f"}},
		{name: "time", make: copied, late: func(m *maker) { m.touch("d/e/f", later) }, want: []string{"d", "d/e", "d/e/f"}},
		{name: "nanoseconds", make: copied, late: func(m *maker) { m.touch("d/e/f", stamp.Add(1)) }, want: []string{"d", "d/e", "d/e/f"}},
		{name: "owner", root: true, make: func(m *maker) { copied(m); m.chown("d/e/f", 1, 0) }, want: []string{"d", "d/e", "d/e/f"}},
		{name: "group", root: true, make: func(m *maker) { copied(m); m.chown("d/e/f", 0, 1) }, want: []string{"d", "d/e", "d/e/f"}},
		{name: "xattr", make: func(m *maker) { copied(m); m.xattr("d/e/f", "user.x", "y") }, want: []string{"d", "d/e", "d/e/f"}},
		{name: "capability", root: true, make: func(m *maker) { copied(m); m.xattr("d/e/f", capabilityAttr, capNetBind) }, want: []string{"d", "d/e", "d/e/f"}},
		{name: "overlay's own xattr", make: func(m *maker) { copied(m); m.xattr("d/e/f", overlayPrefix()+"origin", "y") }, want: []string{}},
		{name: "directory mode", make: func(m *maker) { copied(m); m.must(unix.Chmod(m.path("d/e"), 0o711)) }, want: []string{"d", "d/e"}},
		{name: "directory xattr", make: func(m *maker) { copied(m); m.xattr("d/e", "user.x", "y") }, want: []string{"d", "d/e"}},
		{name: "type", make: func(m *maker) { m.mkdir("d", 0o755); m.symlink("d/f", "content") }, want: []string{"d", "d/f"}},
		{name: "target", make: func(m *maker) { m.mkdir("d", 0o755); m.symlink("d/l", "g") }, want: []string{"d", "d/l"}},
		{name: "new name of an old file", make: func(m *maker) { copied(m); m.link("d/new", "d/e/f") }, want: []string{"d", "d/new"}},
		{name: "new beside unchanged", make: func(m *maker) { copied(m); m.file("d/new", "", 0o644) }, want: []string{"d", "d/new"}},
		{name: "new empty directory", make: func(m *maker) { copied(m); m.mkdir("d/new", 0o755) }, want: []string{"d", "d/new"}},
		{name: "whiteout", make: func(m *maker) { m.mkdir("d", 0o755); m.whiteout("d/f") }, want: []string{"d", "d/f"}},
		{name: "whiteout of a directory", make: func(m *maker) { m.whiteout("d") }, want: []string{"d"}},
		{name: "idle whiteouts", make: func(m *maker) {
			m.mkdir("d", 0o755)
			m.whiteout("d/none")
			m.whiteout("none")
			m.whiteout("gone") // a lower has done it already
			m.mkdir("hidden", 0o755)
			m.whiteout("hidden/x")
		}, want: []string{}},
		{name: "whiteout in a new directory", make: func(m *maker) { m.mkdir("new", 0o755); m.whiteout("new/x") }, want: []string{"new"}},
		{name: "whiteout in an opaque directory", make: func(m *maker) { m.mkdir("d", 0o755); m.opaque("d"); m.whiteout("d/f") }, want: []string{"d (opaque)"}},
		{name: "opaque", make: func(m *maker) { copied(m); m.opaque("d") }, want: []string{"d (opaque)", "d/e", "d/e/f"}},
		{name: "opaque inside opaque", make: func(m *maker) { copied(m); m.opaque("d"); m.opaque("d/e") }, want: []string{"d (opaque)", "d/e", "d/e/f"}},
		{name: "idle opaque", make: func(m *maker) { m.mkdir("new", 0o755); m.opaque("new") }, want: []string{"new"}},
		{name: "opaque where it is gone", make: func(m *maker) { m.mkdir("gone", 0o755); m.opaque("gone"); m.file("gone/x", "", 0o644) }, want: []string{"gone", "gone/x"}},
		{name: "made again", make: func(m *maker) { m.mkdir("gone", 0o755); m.file("gone/x", "", 0o644) }, want: []string{"gone", "gone/x"}},
		{name: "opaque over a file", make: func(m *maker) { m.mkdir("wasdir", 0o755); m.opaque("wasdir"); m.file("wasdir/x", "", 0o644) }, want: []string{"wasdir", "wasdir/x"}},
		{name: "directory over a file", make: func(m *maker) { m.mkdir("wasdir", 0o755); m.whiteout("wasdir/x") }, want: []string{"wasdir"}},
		{name: "below a lower's opaque", make: func(m *maker) {
			m.mkdir("hidden", 0o755)
			m.file("hidden/x", "", 0o644)
			m.file("hidden/y", "", 0o644)
		}, want: []string{"hidden", "hidden/x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root {
				fullRoot(t)
			}
			low, mid, up := newMaker(t), newMaker(t), newMaker(t)
			bottom(low)
			middle(mid)
			tt.make(up)
			for _, m := range []*maker{low, mid, up} {
				m.settle()
			}
			if tt.late != nil {
				tt.late(up)
			}
			before := scan(t, up.dir)
			if err := Settle(t.Context(), up.dir, []string{low.dir, mid.dir}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, paths(t, up.dir)); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
			for p, n := range scan(t, up.dir) {
				was := before[p]
				was.Opaque, was.Same, n.Same = n.Opaque, "", ""
				if diff := cmp.Diff(was, n); diff != "" {
					t.Errorf("%s changed:\n%s", p, diff)
				}
			}
		})
	}
}

func TestSettleWithoutLowers(t *testing.T) {
	m := newMaker(t)
	m.mkdir("d", 0o755)
	m.opaque("d")
	m.whiteout("w")
	m.file("d/f", "", 0o644)
	if err := Settle(t.Context(), m.dir, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"d", "d/f"}, paths(t, m.dir)); diff != "" {
		t.Error(diff)
	}
}

func TestLookup(t *testing.T) {
	low, top := newMaker(t), newMaker(t)
	low.mkdir("d", 0o755)
	low.file("d/low", "", 0o644)
	low.file("d/both", "", 0o644)
	low.file("d/gone", "", 0o644)
	low.mkdir("o", 0o755)
	low.file("o/hidden", "", 0o644)
	low.mkdir("f", 0o755)
	low.file("f/x", "", 0o644)
	low.symlink("l", "d")
	low.mkdir("back", 0o755)
	low.file("back/x", "", 0o644)
	top.mkdir("d", 0o755)
	top.file("d/top", "", 0o644)
	top.file("d/both", "", 0o644)
	top.whiteout("d/gone")
	top.mkdir("o", 0o755)
	top.opaque("o")
	top.file("o/new", "", 0o644)
	top.file("f", "", 0o644)
	top.whiteout("back")
	lowers := []string{low.dir, top.dir}
	for path, want := range map[string]string{
		"": top.dir, "/": top.dir, "d": top.dir, "/d/low": low.dir, "d//both": top.dir, "d/top": top.dir, "d/gone": "",
		"o": top.dir, "o/hidden": "", "o/new": top.dir, "f": top.dir, "f/x": "", "l": low.dir, "l/low": "",
		"back": "", "back/x": "", "none": "", "none/x": "", "d/low/x": "",
	} {
		where, st, ok, err := Lookup(lowers, path)
		if err != nil || where != want || ok != (want != "") {
			t.Errorf("%q in %q, %v, %v; want %q", path, where, ok, err, want)
		}
		var real unix.Stat_t
		if ok && (unix.Lstat(filepath.Join(where, path), &real) != nil || real.Ino != st.Ino) {
			t.Errorf("%q: inode %d, want %d", path, st.Ino, real.Ino)
		}
	}
	if _, _, ok, err := Lookup(nil, "x"); ok || err != nil {
		t.Errorf("no trees: %v, %v", ok, err)
	}
}

// TestSettleOverlay lets the kernel make upper directories, and holds that a
// settled one still shows the same files.
func TestSettleOverlay(t *testing.T) {
	testenv.Overlay(t)
	for _, tt := range []struct {
		name string
		run  func(*maker)
		want []string
	}{
		{"read", func(m *maker) {}, []string{}},
		{"temporary file", func(m *maker) { m.file("d/tmp", "x", 0o644); m.must(os.Remove(m.path("d/tmp"))) }, []string{}},
		{"open for writing", func(m *maker) {
			f, err := os.OpenFile(m.path("d/f"), os.O_RDWR, 0)
			m.must(err)
			m.must(f.Close())
		}, []string{}},
		{"chown to the same", func(m *maker) { m.chown("d/f", 0, 0); m.chown("d", 0, 0); m.chown("d/e/x", 0, 0) }, []string{}},
		{"mode and back", func(m *maker) { m.must(unix.Chmod(m.path("d/f"), 0o600)); m.must(unix.Chmod(m.path("d/f"), 0o644)) }, []string{}},
		{"rename and back", func(m *maker) {
			m.must(os.Rename(m.path("d/f"), m.path("g")))
			m.must(os.Rename(m.path("g"), m.path("d/f")))
		}, []string{}},
		{"append", func(m *maker) { m.file("d/f", "more", 0o644) }, []string{"d", "d/f"}},
		{"new", func(m *maker) { m.mkdir("n", 0o755); m.file("n/x", "", 0o644) }, []string{"n", "n/x"}},
		{"remove", func(m *maker) { m.must(os.Remove(m.path("d/f"))) }, []string{"d", "d/f"}},
		{"remove new", func(m *maker) { m.file("n", "", 0o644); m.must(os.Remove(m.path("n"))) }, []string{}},
		{"remove tree", func(m *maker) { m.must(os.RemoveAll(m.path("d"))) }, []string{"d"}},
		{"remove and make again", func(m *maker) {
			m.must(os.RemoveAll(m.path("d")))
			m.mkdir("d", 0o755)
			m.file("d/n", "", 0o644)
		}, []string{"d (opaque)", "d/n"}},
		{"remove what a lower brought back", func(m *maker) { m.must(os.RemoveAll(m.path("d/e"))) }, []string{"d", "d/e"}},
		{"hard link", func(m *maker) { m.link("n", "d/f") }, []string{"n"}}, // as for its peers the old name stays below
	} {
		t.Run(tt.name, func(t *testing.T) {
			low, mid, up, view := newMaker(t), newMaker(t), newMaker(t), newMaker(t)
			low.mkdir("d", 0o755)
			low.file("d/f", "content", 0o644)
			mid.mkdir("d", 0o755)
			mid.mkdir("d/e", 0o755)
			mid.file("d/e/x", "", 0o644)
			low.settle()
			mid.settle()
			unmount := mountOverlay(t, view.dir, []string{low.dir, mid.dir}, up.dir)
			tt.run(view)
			want := scan(t, view.dir)
			unmount()
			if err := Settle(t.Context(), up.dir, []string{low.dir, mid.dir}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, paths(t, up.dir)); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
			// Through a tar and back, as a layer on top of the others.
			out := t.TempDir()
			if _, err := Apply(t.Context(), strings.NewReader(string(tarOf(t, up.dir))), out, ApplyOptions{}); err != nil {
				t.Fatal(err)
			}
			unmount = mountOverlay(t, view.dir, []string{low.dir, mid.dir, out}, "")
			got := scan(t, view.dir)
			unmount()
			cutTimes(want)
			cutTimes(got)
			cutLinks(want)
			cutLinks(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("view (-want +got):\n%s", diff)
			}
		})
	}
}

// cutTimes leaves what a layer keeps of times: seconds, and of directories
// nothing where they did not change.
func cutTimes(tree map[string]node) {
	for p, n := range tree {
		n.Mtime, _, _ = strings.Cut(n.Mtime, ".")
		if n.Mode&uint32(unix.S_IFMT) == unix.S_IFDIR {
			n.Mtime = ""
		}
		tree[p] = n
	}
}

// cutLinks makes every name a file of its own.
func cutLinks(tree map[string]node) {
	for p, n := range tree {
		n.Same = ""
		tree[p] = n
	}
}

// mountOverlay mounts at target, with an upper directory if there is one.
func mountOverlay(t *testing.T, target string, lowers []string, upper string) (unmount func()) {
	t.Helper()
	var dirs []string
	for i := len(lowers) - 1; i >= 0; i-- {
		dirs = append(dirs, lowers[i])
	}
	opts := "index=off,redirect_dir=off,metacopy=off,lowerdir=" + strings.Join(dirs, ":")
	if UserXattr() {
		opts = "userxattr," + strings.TrimPrefix(opts, "index=off,redirect_dir=off,metacopy=off,")
	}
	if upper != "" {
		opts += ",upperdir=" + upper + ",workdir=" + t.TempDir()
	}
	if err := unix.Mount("overlay", target, "overlay", 0, opts); err != nil {
		t.Skipf("needs overlayfs: %v", err)
	}
	mounted := true
	unmount = func() {
		if mounted {
			mounted = false
			if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(unmount)
	return unmount
}
