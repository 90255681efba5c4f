//go:build linux

package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

func TestHold(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	kept, err := s.WriteBlob(t.Context(), image.MediaTypeLayer, []byte("kept"))
	must(t, err)
	_, err = s.WriteBlob(t.Context(), image.MediaTypeLayer, []byte("not kept"))
	must(t, err)
	must(t, s.Hold(t.Context(), "a", kept.Digest))
	must(t, s.Close())

	s = open(t, dir)
	report, err := s.Prune(t.Context(), PruneOptions{})
	must(t, err)
	if len(report.Objects) != 1 {
		t.Errorf("removed %+v", report.Objects)
	}
	if raw, err := s.readBlob(kept.Digest); err != nil || string(raw) != "kept" {
		t.Errorf("%q, %v", raw, err)
	}
	must(t, s.Release("a"))
	must(t, s.Release("a"))
	if report, err = s.Prune(t.Context(), PruneOptions{}); err != nil || len(report.Objects) != 1 {
		t.Errorf("removed %+v, %v", report.Objects, err)
	}
	for _, name := range []string{"", "../a", ".a"} {
		if err := s.Hold(t.Context(), name); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("hold %q: %v", name, err)
		}
	}
}

func TestDiscardPath(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	mine := filepath.Join(dir, "mine", "a")
	must(t, os.MkdirAll(filepath.Join(mine, "b"), 0o700))
	must(t, s.Discard(mine))
	must(t, s.Discard(mine))
	if _, err := os.Stat(mine); err == nil {
		t.Error("it is there")
	}
	for _, path := range []string{filepath.Join(dir, "blobs"), dir, "/etc/passwd", filepath.Join(dir, "../x/y")} {
		if err := s.Discard(path); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
