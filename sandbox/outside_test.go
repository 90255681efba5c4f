//go:build linux

package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNothingAboveRoot looks for the host's tree where a mount's ".." leads:
// once, what lay under the new root was still mounted on top of it.
func TestNothingAboveRoot(t *testing.T) {
	dir := rootfs(t)
	shared := t.TempDir()
	const script = `stat -c %d:%i / /.. /src/.. /dev/.. /proc/.. /sys/.. | sort -u | wc -l; ls -d /dev/../src; awk '$5 == "/"' /proc/self/mountinfo | wc -l`
	for name, mounts := range map[string][]Mount{
		"bind":      {{Target: "/src", Source: shared}},
		"recursive": {{Target: "/src", Source: shared, Recursive: true}},
	} {
		got := run(t, dir, script, func(s *Spec) { s.Mounts = mounts })
		if want := "1\n/dev/../src\n1\n"; got.failure != nil || got.out != want {
			t.Errorf("%s: got %q, stderr %q, error %v, want %q", name, got.out, got.err, got.failure, want)
		}
	}
}

// TestHostMountsAreGone looks for the host's mounts in the sandbox's list.
func TestHostMountsAreGone(t *testing.T) {
	dir := rootfs(t)
	got := run(t, dir, "cat /proc/self/mountinfo; ls /proc/1/root/", nil)
	if got.failure != nil {
		t.Fatal(got.failure, got.err)
	}
	self, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(self)) {
		point := strings.Fields(line)[4]
		switch point {
		case "/", "/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup":
			continue // the sandbox has its own
		}
		if !strings.HasPrefix(point, "/sys/fs/cgroup/") && strings.Contains(got.out, " "+filepath.Clean(point)+" ") {
			t.Errorf("the host's mount %s is there:\n%s", point, got.out)
		}
	}
}
