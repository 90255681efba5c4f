//go:build linux

package sandbox

import (
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAttacks has a process with docker's default rights try to leave: by system
// calls, by files of /proc and /sys, by devices. Each is refused, as one that may
// not (what is also not there is as good), by all users.
func TestAttacks(t *testing.T) {
	dir := rootfs(t)
	buildProbe(t, dir)
	for _, user := range []string{"", "bob"} {
		got := run(t, dir, "", func(s *Spec) { s.Args, s.User = []string{"/bin/probe", "attacks"}, user })
		if got.failure != nil {
			t.Fatal(got.failure, got.err)
		}
		n := 0
		for line := range strings.Lines(got.out) {
			name, code, _ := strings.Cut(strings.TrimSpace(line), ": ")
			no, err := strconv.Atoi(code)
			if err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			n++
			switch errno := unix.Errno(no); errno {
			case unix.EPERM, unix.EACCES, unix.EROFS:
			case unix.ENOSYS:
				if strings.HasPrefix(name, "write") || strings.HasPrefix(name, "device") {
					t.Errorf("user %q: %s: %v", user, name, errno)
				}
			case unix.ENOENT, unix.EISDIR:
				if !strings.HasPrefix(name, "write") {
					t.Errorf("user %q: %s: %v", user, name, errno)
				}
			case unix.ESRCH: // its own parent is in no namespace that it sees
				if name != "ptrace host" {
					t.Errorf("user %q: %s: %v", user, name, errno)
				}
			case 0:
				// A process may make itself, and its kin, likelier to be killed.
				if name != "write /proc/1/oom_score_adj" {
					t.Errorf("user %q: %s was allowed", user, name)
				}
			default:
				t.Errorf("user %q: %s: %v, want it refused", user, name, errno)
			}
		}
		if n < 40 {
			t.Errorf("only %d attacks:\n%s", n, got.out)
		}
	}
}
