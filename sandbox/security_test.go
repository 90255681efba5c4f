//go:build linux

package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoOpenFiles: the command inherits its streams and nothing else, even
// files that this process leaks (CVE-2024-21626).
func TestNoOpenFiles(t *testing.T) {
	dir := rootfs(t)
	buildProbe(t, dir)
	got := run(t, dir, "", func(s *Spec) { s.Args = []string{"/bin/probe", "status"} })
	if !strings.Contains(got.out, "open files [0 1 2]") {
		t.Errorf("got %s, %v", got.out, got.failure)
	}
}

// TestDirOutside: no working directory leads out of the root by way of a file
// that is open while the sandbox is set up.
func TestDirOutside(t *testing.T) {
	dir := rootfs(t)
	write(t, dir, "inside", "")
	for fd := range 32 {
		for _, where := range []string{"/proc/self/fd/%d", "/proc/self/fd/%d/..", "/proc/self/cwd/proc/1/fd/%d"} {
			got := run(t, dir, "ls /proc/self/cwd/../inside; pwd", func(s *Spec) { s.Dir = fmt.Sprintf(where, fd) })
			if got.failure != nil {
				continue // refused
			}
			for _, p := range strings.Fields(got.out) {
				if strings.Contains(p, "unreachable") {
					t.Errorf("directory %s: outside of the root: %q", fmt.Sprintf(where, fd), got.out)
				}
			}
		}
	}
}

// TestOwnExecutable: what the sandbox was started from cannot be written by
// way of it (CVE-2019-5736).
func TestOwnExecutable(t *testing.T) {
	testBinary, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir := rootfs(t)
	r := &Runner{StateDir: t.TempDir()}
	defer r.Close()
	f, err := r.exe.open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil || st.Flags&unix.ST_RDONLY == 0 {
		t.Errorf("the executable's mount has flags %#x: %v, want read-only", st.Flags, err)
	}
	got := run(t, dir, "", func(s *Spec) { s.Args = []string{"/proc/self/exe"} })
	t.Log(got.failure)
	if now, err := os.ReadFile("/proc/self/exe"); err != nil || len(now) != len(testBinary) {
		t.Errorf("the executable has changed: %v", err)
	}
}

// TestHostIsHidden: nothing of the host's mounts or processes is seen.
func TestHostIsHidden(t *testing.T) {
	dir := rootfs(t)
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, filepath.Dir(secret), "secret", "x")
	got := run(t, dir, `cat /proc/self/mountinfo | wc -l; echo /proc/[0-9]*; cat /proc/1/root/etc/shadow; cat `+secret+`; cat ../../../../..`+secret, nil)
	lines := strings.Fields(got.out)
	if len(lines) != 2 || lines[1] != "/proc/1" {
		t.Errorf("got %q, want some mounts, and the shell as only process", got.out)
	}
	if n := strings.Count(got.err, "No such file"); n != 3 {
		t.Errorf("stderr %q", got.err)
	}
}

// TestOwnKeyring: the session keyring is neither the caller's nor that of
// another sandbox. (Docker's filter keeps a usual sandbox from asking.)
func TestOwnKeyring(t *testing.T) {
	dir := rootfs(t)
	buildProbe(t, dir)
	ids := map[string]bool{}
	if id, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false); err == nil {
		ids[fmt.Sprint(int32(id))] = true
	}
	for range 2 {
		got := run(t, dir, "", func(s *Spec) { s.Args, s.Insecure = []string{"/bin/probe", "keyring"}, true })
		id, errno, _ := strings.Cut(strings.TrimSpace(got.out), " ")
		if errno != "errno 0" || ids[id] {
			t.Errorf("keyring %q, %v, seen %v", got.out, got.failure, ids)
		}
		ids[id] = true
	}
}
