//go:build linux

package sandbox

import (
	"strings"
	"testing"
)

// TestNetworkReachesMirror is skipped where the host itself has no network.
func TestNetworkReachesMirror(t *testing.T) {
	dir := rootfs(t)
	const fetch = "wget -q -T 10 -O - http://deb.debian.org/debian/dists/bookworm/Release | head -n 1"
	if host := run(t, dir, fetch, func(s *Spec) { s.Network = Host }); !strings.HasPrefix(host.out, "Origin:") {
		t.Skipf("needs a network: %s%v", host.err, host.failure)
	}
	got := run(t, dir, fetch, func(s *Spec) { s.Network = Bridge })
	if !strings.HasPrefix(got.out, "Origin:") {
		t.Errorf("bridge: got %q, stderr %q, error %v", got.out, got.err, got.failure)
	}
	got = run(t, dir, fetch, nil)
	if got.out != "" {
		t.Errorf("none: got %q, want no answer", got.out)
	}
}
