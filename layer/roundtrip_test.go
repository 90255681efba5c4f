//go:build linux

package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// capNetBind is cap_net_bind_service=ep, a VFS capability of version 2.
const capNetBind = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// aclUserRead is user::rw-,user:7:r--,group::r--,mask::r--,other::r--.
const aclUserRead = "\x02\x00\x00\x00" +
	"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\x07\x00\x00\x00" +
	"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x04\x00\xff\xff\xff\xff"

var roundTrips = []struct {
	name string
	root bool
	make func(*maker)
}{
	{name: "empty", make: func(m *maker) {}},
	{name: "modes", make: func(m *maker) {
		for _, mode := range []uint32{0o400, 0o644, 0o755, 0o777, 0o4755, 0o2755, 0o1644, 0o6711} {
			m.file("f"+strconv.FormatUint(uint64(mode), 8), "x", mode)
		}
		m.mkdir("sticky", 0o1777)
		m.mkdir("setgid", 0o2755)
		m.file("setgid/f", "", 0o644)
		m.mkdir("closed", 0o700)
		m.file("closed/f", "y", 0o600)
		m.must(unix.Chmod(m.path("closed"), 0o500))
		m.t.Cleanup(func() { _ = unix.Chmod(m.path("closed"), 0o700) })
	}},
	{name: "no permissions", root: true, make: func(m *maker) {
		m.file("f", "x", 0)
		m.mkdir("d", 0o777)
		m.file("d/f", "y", 0o000)
		m.must(unix.Chmod(m.path("d"), 0))
	}},
	{name: "content", make: func(m *maker) {
		m.file("empty", "", 0o644)
		m.file("block", strings.Repeat("b", 512), 0o644)
		m.file("odd", strings.Repeat("o", 513), 0o644)
		m.file("big", strings.Repeat("0123456789", 100_000), 0o644)
		m.file("zeros", strings.Repeat("\x00", 3*copyBuffer), 0o644)
		m.file("tail", strings.Repeat("\x00", 10_000)+"tail", 0o644)
		m.file("head", "head"+strings.Repeat("\x00", copyBuffer), 0o644)
	}},
	{name: "owners", root: true, make: func(m *maker) {
		m.mkdir("d", 0o755)
		m.chown("d", 1000, 1001)
		m.file("d/f", "x", 0o644)
		m.chown("d/f", 33, 0)
		m.must(unix.Chmod(m.path("d/f"), 0o6755)) // chown takes these away
		m.symlink("d/l", "f")
		m.chown("d/l", 5, 6)
		m.file("huge", "", 0o644)
		m.chown("huge", 1<<32-2, 1<<31)
	}},
	{name: "hard links", make: func(m *maker) {
		m.mkdir("a", 0o755)
		m.mkdir("b", 0o755)
		m.file("b/first", "shared", 0o640)
		m.link("a/zz", "b/first")
		m.link("c", "b/first")
		m.symlink("s", "target")
		m.link("s2", "s")
		m.must(unix.Mkfifo(m.path("p"), 0o600))
		m.link("p2", "p")
		m.file("lone", "outside link", 0o600)
		m.must(os.Link(m.path("lone"), m.dir+"-lone"))
		m.t.Cleanup(func() { os.Remove(m.dir + "-lone") })
	}},
	{name: "symbolic links", make: func(m *maker) {
		m.symlink("abs", "/etc/passwd")
		m.symlink("up", "../../../../../etc")
		m.symlink("loop", "loop")
		m.symlink("long", strings.Repeat("l/", 1500))
		m.symlink("bytes", "caf\xe9\xff\n")
	}},
	{name: "devices", root: true, make: func(m *maker) {
		m.node("null", unix.S_IFCHR|0o666, 1, 3)
		m.node("blk", unix.S_IFBLK|0o660, 8, 300)
		m.node("big", unix.S_IFCHR|0o600, 4095, 1048575)
		m.chown("blk", 0, 6)
	}},
	{name: "fifo", make: func(m *maker) { m.must(unix.Mkfifo(m.path("p"), 0o640)) }},
	{name: "names", make: func(m *maker) {
		long := strings.Repeat("n", 255)
		m.mkdir(long, 0o755)
		m.mkdir(long+"/"+long, 0o755)
		m.file(long+"/"+long+"/"+long, "deep", 0o644)
		for _, name := range []string{"sp ace", "new\nline", "caf\u00e9", "latin\xe9", "\xff\xfe", "=", "a=b", "-f", "..x", "...", `b\s`, "tab\t", "*", "\x01"} {
			m.file(name, name, 0o644)
		}
		m.mkdir("d\xff", 0o755)
		m.link("d\xff/link\xff", "latin\xe9")
		m.file(strings.Repeat("u", 100), "", 0o644)
		m.file(strings.Repeat("v", 101), "", 0o644)
	}},
	{name: "order", make: func(m *maker) { // "a-" sorts before "a/x" as a path, after "a" as a name
		m.mkdir("a", 0o755)
		m.file("a/x", "", 0o644)
		m.file("a-", "", 0o644)
		m.file("a.b", "", 0o644)
		m.file("B", "", 0o644)
	}},
	{name: "xattrs", make: func(m *maker) {
		m.file("f", "x", 0o644)
		m.xattr("f", "user.plain", "value")
		m.xattr("f", "user.binary", "\x00\xff=\n\x00")
		m.xattr("f", "user.empty", "")
		m.xattr("f", "user.caf\u00e9", "utf8")
		m.xattr("f", "user.a=b%3D%", "escaped")
		m.mkdir("d", 0o755)
		m.xattr("d", "user.dir", "on a directory")
		m.link("g", "f")
	}},
	{name: "privileged xattrs", root: true, make: func(m *maker) {
		m.file("ping", "binary", 0o755)
		m.chown("ping", 10, 10)
		m.xattr("ping", capabilityAttr, capNetBind)
		m.file("acl", "x", 0o644)
		m.xattr("acl", "system.posix_acl_access", aclUserRead)
		m.file("trusted", "x", 0o644)
		m.xattr("trusted", "trusted.mine", "kept")
		m.symlink("l", "t")
		m.xattr("l", "trusted.link", "on a link")
		m.mkdir("d", 0o755)
		m.xattr("d", "system.posix_acl_default", aclUserRead)
		m.file("d/f", "x", 0o600)
		m.must(unix.Chmod(m.path("d/f"), 0o600))
		_ = unix.Removexattr(m.path("d/f"), "system.posix_acl_access")
		m.must(unix.Chmod(m.path("d/f"), 0o604))
	}},
	{name: "times", make: func(m *maker) {
		for name, when := range map[string]time.Time{
			"epoch-time": time.Unix(0, 0), "old-time": time.Unix(-1_000_000, 0),
			"octal-time": time.Unix(1<<33-1, 0), "late-time": time.Unix(1<<33, 0),
		} {
			m.file(name, "", 0o644)
			m.touch(name, when)
		}
		m.mkdir("d-time", 0o755)
		m.file("d-time/x", "", 0o644)
		m.touch("d-time", time.Unix(7, 0))
	}},
	{name: "whiteouts", make: func(m *maker) {
		m.mkdir("d", 0o755)
		m.whiteout("d/gone")
		m.whiteout("top")
		m.must(os.Link(m.path("top"), m.path("linked"))) // as the kernel does
	}},
	{name: "opaque", make: func(m *maker) {
		m.mkdir("d", 0o755)
		m.mkdir("d/e", 0o755)
		m.file("d/e/f", "x", 0o644)
		m.opaque("d")
		m.opaque("d/e")
	}},
}

func TestRoundTrip(t *testing.T) {
	for _, tt := range roundTrips {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root {
				fullRoot(t)
			}
			m := newMaker(t)
			tt.make(m)
			m.settle()
			want := scan(t, m.dir)
			data := tarOf(t, m.dir)
			out := t.TempDir()
			o := mine(ApplyOptions{})
			stats, err := Apply(t.Context(), bytes.NewReader(data), out, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = exec.Command("chmod", "-R", "u+rwx", out).Run() })
			if diff := cmp.Diff(want, scan(t, out)); diff != "" {
				t.Errorf("tree (-want +got):\n%s", diff)
			}
			if stats.LostXattrs != 0 || len(stats.Implied) != 0 {
				t.Errorf("stats %+v", stats)
			}
			if again := tarOf(t, out); !bytes.Equal(data, again) {
				t.Error("the tar of the applied tree is another")
			}
			d, size, err := DiffDigest(t.Context(), m.dir, DiffOptions{})
			if err != nil || d != digest.FromBytes(data) || size != int64(len(data)) {
				t.Errorf("digest %s, size %d, %v; the tar has %s, %d", d, size, err, digest.FromBytes(data), len(data))
			}
			gnuTar(t, data)
		})
	}
}

func tarOf(t testing.TB, dir string) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := Diff(t.Context(), &buf, dir, DiffOptions{}); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// gnuTar holds GNU tar's list of names against ours.
func gnuTar(t *testing.T, data []byte) {
	t.Helper()
	exe, err := exec.LookPath("tar")
	if err != nil {
		t.Log("no GNU tar here")
		return
	}
	cmd := exec.Command(exe, "--quoting-style=escape", "-tf", "-")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = bytes.NewReader(data)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Errorf("tar -t: %v\n%s", err, stderr.Bytes())
	}
	var want []string
	for _, h := range headers(t, data) {
		want = append(want, gnuEscape(h.Name))
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(out) == 0 {
		got = nil
	}
	if !slices.Equal(want, got) {
		t.Errorf("GNU tar lists (-want +got):\n%s", cmp.Diff(want, got))
	}
}

// gnuEscape is GNU tar's quoting style "escape" in the C locale.
func gnuEscape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\\':
			b.WriteString(`\\`)
		case c < ' ' || c >= 0x7f:
			b.WriteString("\\" + string([]byte{'0' + c>>6, '0' + c>>3&7, '0' + c&7}))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func headers(t testing.TB, data []byte) []*tar.Header {
	t.Helper()
	var list []*tar.Header
	tr := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, h)
	}
}

// TestDiffForm holds the details that decide a layer's digest.
func TestDiffForm(t *testing.T) {
	m := newMaker(t)
	m.mkdir("d", 0o755)
	m.file("d/b", "x", 0o644)
	m.link("a", "d/b")
	m.whiteout("d/w")
	m.opaque("d")
	m.settle()
	m.touch("d/b", time.Unix(1700000000, 999_999_999))
	clamp := time.Unix(1650000000, 0)
	var buf bytes.Buffer
	if err := Diff(t.Context(), &buf, m.dir, DiffOptions{ClampTime: &clamp}); err != nil {
		t.Fatal(err)
	}
	type line struct {
		Name, Link string
		Type       string
		Mode       int64
		Time       int64
		Format     tar.Format
	}
	var got []line
	for _, h := range headers(t, buf.Bytes()) {
		if h.Uname != "" || h.Gname != "" || !h.AccessTime.IsZero() || len(h.PAXRecords) > 0 {
			t.Errorf("%s carries %+v", h.Name, h)
		}
		got = append(got, line{h.Name, h.Linkname, string(h.Typeflag), h.Mode, h.ModTime.Unix(), h.Format})
	}
	want := []line{
		{"a", "", "0", 0o644, 1650000000, tar.FormatUSTAR},
		{"d/", "", "5", 0o755, 1600000000, tar.FormatUSTAR},
		{"d/.wh..wh..opq", "", "0", 0, 0, tar.FormatUSTAR},
		{"d/b", "a", "1", 0o644, 1650000000, tar.FormatUSTAR},
		{"d/.wh.w", "", "0", 0, 0, tar.FormatUSTAR},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if m.touch("d/b", time.Unix(1700000000, 999_999_999)); !strings.Contains(scan(t, m.dir)["d/b"].Mtime, ".999999999") {
		t.Skip("file system without nanoseconds")
	}
	for _, h := range headers(t, tarOf(t, m.dir)) {
		if h.Name == "a" && !h.ModTime.Equal(time.Unix(1700000000, 0)) {
			t.Errorf("time %v is not cut to seconds", h.ModTime)
		}
	}
}

func TestDiffRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(*maker)
	}{
		{"redirect", func(m *maker) { m.mkdir("d", 0o755); m.xattr("d", overlayPrefix()+"redirect", "/x") }},
		{"metacopy", func(m *maker) { m.file("f", "x", 0o644); m.xattr("f", overlayPrefix()+"metacopy", "") }},
		{"whiteout of nothing", func(m *maker) { m.file(".wh.", "x", 0o644) }},
		{"whiteout of dot", func(m *maker) { m.file(".wh..", "x", 0o644) }},
		{"whiteout of dot dot", func(m *maker) { m.file(".wh...", "x", 0o644) }},
		{"directory named as a whiteout", func(m *maker) { m.mkdir(".wh.d", 0o755) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMaker(t)
			tt.make(m)
			if err := Diff(t.Context(), io.Discard, m.dir, DiffOptions{}); !errors.Is(err, errs.ErrUnsupported) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A file named as a whiteout is written as it is, and is one for who applies it.
func TestDiffWhiteoutName(t *testing.T) {
	m := newMaker(t)
	m.mkdir("d", 0o755)
	m.file("d/.wh.x", "", 0o644)
	m.file("d/.wh..wh..opq", "", 0o600)
	var names []string
	for _, h := range headers(t, tarOf(t, m.dir)) {
		names = append(names, h.Name)
	}
	if diff := cmp.Diff([]string{"d/", "d/.wh..wh..opq", "d/.wh.x"}, names); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	out := t.TempDir()
	if _, err := Apply(t.Context(), bytes.NewReader(tarOf(t, m.dir)), out, mine(ApplyOptions{})); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	m.must(unix.Lstat(out+"/d/x", &st))
	if !IsWhiteout(&st) {
		t.Errorf("d/x is no whiteout but %o", st.Mode)
	}
}

// TestDiffLeavesOut holds what is no part of a layer.
func TestDiffLeavesOut(t *testing.T) {
	m := newMaker(t)
	m.file("f", "x", 0o644)
	m.xattr("f", overlayPrefix()+"origin", "x")
	m.xattr("f", "user.overlay.opaque", "y")
	m.xattr("f", "user.overlay.overlay.redirect", "y")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	m.must(err)
	defer unix.Close(fd)
	old, err := os.Getwd()
	m.must(err)
	m.must(os.Chdir(m.dir)) // socket addresses are short
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: "s"})
	m.must(os.Chdir(old))
	m.must(err)
	for _, h := range headers(t, tarOf(t, m.dir)) {
		if h.Name != "f" || len(h.PAXRecords) > 0 {
			t.Errorf("entry %s with %v", h.Name, h.PAXRecords)
		}
	}
}

func TestSparseStaysSparse(t *testing.T) {
	m := newMaker(t)
	f, err := os.Create(m.path("s"))
	m.must(err)
	_, err = f.WriteAt([]byte("end"), 16<<20)
	m.must(err)
	m.must(f.Close())
	out := t.TempDir()
	if _, err := Apply(t.Context(), bytes.NewReader(tarOf(t, m.dir)), out, mine(ApplyOptions{})); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	m.must(unix.Stat(out+"/s", &st))
	if st.Size != 16<<20+3 || st.Blocks*512 > 1<<20 {
		t.Errorf("%d bytes in %d blocks", st.Size, st.Blocks)
	}
	if a, b := scan(t, m.dir)["s"].Content, scan(t, out)["s"].Content; a != b {
		t.Errorf("content %s, want %s", b, a)
	}
}
