//go:build linux

package sandbox

import (
	"testing"
	"time"

	"github.com/mica-build/mica/sandbox/cgroup"
)

// TestGroupInUse measures, freezes and limits a sandbox while it runs.
func TestGroupInUse(t *testing.T) {
	p := running(t, rootfs(t), func(s *Spec) {
		s.Accounting = true
		s.Resources.Memory = 64 << 20
		s.Args = []string{"/bin/sh", "-c", "echo up; while :; do :; done"}
	})
	g := p.Cgroup()
	if g == nil || len(g.Dirs()) == 0 {
		t.Skip("this machine has no control groups")
	}
	pids, err := g.Processes()
	if err != nil || len(pids) != 1 || pids[0] != p.PID() {
		t.Errorf("processes %v, %v, want %d", pids, err, p.PID())
	}
	await(t, "some processor time", func() bool { return g.Usage().CPU > 0 })
	if u := g.Usage(); u.Memory <= 0 || u.MemoryLimit != 64<<20 || u.Processes != 1 {
		t.Errorf("usage %+v", u)
	}
	if err := g.Freeze(true); err != nil {
		t.Fatal(err)
	}
	await(t, "no processor time", func() bool {
		before := g.Usage().CPU
		time.Sleep(20 * time.Millisecond)
		return g.Usage().CPU == before
	})
	if err := g.Freeze(false); err != nil {
		t.Fatal(err)
	}
	before := g.Usage().CPU
	await(t, "processor time again", func() bool { return g.Usage().CPU > before })
	if err := g.Set(cgroup.Limits{Memory: 128 << 20, PidsLimit: 20}); err != nil {
		t.Fatal(err)
	}
	if u := g.Usage(); u.MemoryLimit != 128<<20 {
		t.Errorf("usage %+v after the limit was changed", u)
	}
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("there was not %s", what)
		}
	}
}
