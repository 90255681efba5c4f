//go:build linux

package sandbox

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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

// TestParallel runs sandboxes on the bridge at once: each has its own address.
func TestParallel(t *testing.T) {
	dir := rootfs(t)
	// They share the root: the first to end must not take the others' files away.
	write(t, dir, "etc/hosts", "")
	write(t, dir, "etc/resolv.conf", "")
	r := &Runner{StateDir: t.TempDir()}
	defer r.Close()
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var out bytes.Buffer
			err := r.Run(t.Context(), &Spec{
				Root: openDir(t, dir), Env: []string{"PATH=/bin"}, Stdout: &out,
				Args: []string{"/bin/sh", "-c", "ip -4 -o addr show eth0 | awk '{print $4}'; sleep 0.3; ping -c 1 -W 5 $(ip route | awk '/default/ {print $3}') > /dev/null"},
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil || out.Len() == 0 || seen[out.String()] {
				t.Errorf("address %q, %v", out.String(), err)
			}
			seen[out.String()] = true
		})
	}
	wg.Wait()
}
