//go:build linux

package layer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDiffGolden pins the bytes of a layer: digests of images depend on them,
// so that a change here is a change of every image built.
func TestDiffGolden(t *testing.T) {
	fullRoot(t)
	m := newMaker(t)
	m.mkdir("etc", 0o755)
	m.file("etc/passwd", "root:x:0:0::/:/bin/sh\n", 0o644)
	m.file("etc/shadow", "", 0o640)
	m.chown("etc/shadow", 0, 42)
	m.mkdir("bin", 0o755)
	m.file("bin/ping", strings.Repeat("ping", 1000), 0o755)
	m.xattr("bin/ping", capabilityAttr, capNetBind)
	m.file("bin/su", "su", 0o4755)
	m.link("bin/su2", "bin/su")
	m.symlink("lib", "usr/lib")
	m.file("caf\u00e9 "+strings.Repeat("n", 120), "long", 0o600)
	m.node("null", unix.S_IFCHR|0o666, 1, 3)
	m.must(unix.Chmod(m.path("null"), 0o666))
	m.whiteout("etc/motd")
	m.mkdir("opt", 0o755)
	m.opaque("opt")
	m.settle()
	d, size, err := DiffDigest(t.Context(), m.dir, DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "sha256:7d06a04600c6c52e61da3f414cf49fdacfe8e4dbb87fce5653a3b2ad28668370"; d.String() != want || size != 15360 {
		t.Errorf("%s of %d bytes, want %s", d, size, want)
	}
}

func TestSpread(t *testing.T) {
	m := newMaker(t)
	err := Spread(m.dir)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("needs ext4")
	}
	m.must(err)
	fd, err := openTree(m.dir)
	m.must(err)
	defer unix.Close(fd)
	if flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS); err != nil || flags&0x20000 == 0 {
		t.Errorf("flags %x, %v", flags, err)
	}
}

// TestErrorsQuote keeps a hostile name from reaching the terminal as it is.
func TestErrorsQuote(t *testing.T) {
	m := newMaker(t)
	m.mkdir("evil\x1b[2J", 0o755)
	m.file("evil\x1b[2J/.wh..", "", 0o644)
	_, _, err := DiffDigest(t.Context(), m.dir, DiffOptions{ClampTime: &time.Time{}})
	if err == nil || strings.Contains(err.Error(), "\x1b") || !strings.Contains(err.Error(), `evil\x1b`) {
		t.Errorf("got %q", err)
	}
	missing := &MissingLinkError{Name: "\x1b[2J", Target: "plain name"}
	if got := missing.Error(); strings.Contains(got, "\x1b") || !strings.Contains(got, ": plain name is") {
		t.Errorf("got %q", got)
	}
}
