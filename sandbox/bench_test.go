//go:build linux

package sandbox

import (
	"io"
	"testing"

	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/snapshot"
	"github.com/mica-build/mica/snapshot/overlay"
)

// BenchmarkRun measures a whole step: mounting an overlay, /bin/true, unmounting.
func BenchmarkRun(b *testing.B) {
	testenv.Overlay(b)
	dir := rootfs(b)
	for _, bb := range []struct {
		name string
		mode NetworkMode
	}{{"none", None}, {"host", Host}, {"bridge", Bridge}} {
		b.Run(bb.name, func(b *testing.B) {
			upper, work := b.TempDir(), b.TempDir()
			m := overlay.New()
			r := &Runner{StateDir: b.TempDir()}
			for b.Loop() {
				tree, err := m.Mount(b.Context(), snapshot.Request{Lower: []string{dir}, Upper: upper, Work: work})
				if err != nil {
					b.Fatal(err)
				}
				s := &Spec{
					Root: tree.File(), Args: []string{"/bin/true"}, Env: []string{"PATH=/bin"},
					Network: bb.mode, Stdout: io.Discard, Stderr: io.Discard,
				}
				if err := r.Run(b.Context(), s); err != nil {
					b.Fatal(err)
				}
				if err := tree.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
