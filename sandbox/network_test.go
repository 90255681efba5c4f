//go:build linux

package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNetworkReachesMirror is skipped where the host itself has no network.
func TestNetworkReachesMirror(t *testing.T) {
	dir := hostTools(t)
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("needs curl")
	}
	fetch := curl + " -sS -m 10 http://deb.debian.org/debian/dists/bookworm/Release | head -n 1"
	get := func(m NetworkMode) result {
		return run(t, dir, fetch, func(s *Spec) {
			s.Network = m
			s.Mounts = []Mount{{Source: "/usr", Target: "/usr", ReadOnly: true}, {Source: "/etc/ssl", Target: "/etc/ssl", ReadOnly: true}}
		})
	}
	if host := get(Host); !strings.HasPrefix(host.out, "Origin:") {
		t.Skipf("needs a network: %s%v", host.err, host.failure)
	}
	if got := get(Bridge); !strings.HasPrefix(got.out, "Origin:") {
		t.Errorf("bridge: got %q, stderr %q, error %v", got.out, got.err, got.failure)
	}
	if got := get(None); got.out != "" {
		t.Errorf("none: got %q, want no answer", got.out)
	}
}

// hostTools is a rootfs that can run the host's programs when /usr is bound.
func hostTools(t testing.TB) string {
	dir := rootfs(t)
	for _, d := range []string{"lib", "lib64"} {
		if to, err := os.Readlink("/" + d); err == nil {
			if err := os.Symlink(to, filepath.Join(dir, d)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}
