// Package testenv tells tests what this machine offers, and skips with a reason.
package testenv

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// Root skips the test unless it runs as root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: run the tests as root")
	}
}

// Overlay skips the test unless the kernel can mount overlayfs here.
func Overlay(t testing.TB) {
	t.Helper()
	Root(t)
	fs, err := os.ReadFile("/proc/filesystems")
	if err == nil && bytes.Contains(fs, []byte("\toverlay\n")) {
		return
	}
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Skipf("needs overlayfs: %v", err)
	}
	unix.Close(fd)
}

// Busybox gives the path of a static busybox, which `make test` installs
// (Debian package busybox-static), or skips.
func Busybox(t testing.TB) string {
	t.Helper()
	for _, p := range []string{"/bin/busybox", "/usr/bin/busybox"} {
		if out, err := exec.Command("file", "-L", p).Output(); err == nil && bytes.Contains(out, []byte("dynamically")) {
			continue
		}
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	t.Skip("needs a static busybox: apt-get install busybox-static")
	return ""
}
