//go:build linux

package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// TestDamagedBlob checks that a blob damaged on disk is noticed and can be pushed again.
func TestDamagedBlob(t *testing.T) {
	data := bytes.Repeat([]byte("blob "), 1000)
	damages := map[string][]byte{
		"empty":  {},
		"short":  data[:100],
		"zeroed": make([]byte, len(data)),
	}
	readers := map[string]func(*Store, image.Descriptor) error{
		"fetch": func(s *Store, d image.Descriptor) error {
			r, err := s.Fetch(t.Context(), d)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(io.Discard, r)
			return err
		},
		"read": func(s *Store, d image.Descriptor) error {
			_, err := s.ReadBlob(t.Context(), d.Digest)
			return err
		},
	}
	for damage, bad := range damages {
		for reader, read := range readers {
			t.Run(damage+" "+reader, func(t *testing.T) {
				s := open(t, "")
				d, err := s.WriteBlob(t.Context(), image.MediaTypeManifest, data)
				if err != nil {
					t.Fatal(err)
				}
				p, err := s.blobPath(d.Digest)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(p, bad, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := read(s, d); !errors.Is(err, errs.ErrDigest) {
					t.Errorf("damaged: %v, want ErrDigest", err)
				}
				if err := s.Push(t.Context(), d, bytes.NewReader(data)); err != nil {
					t.Fatal(err)
				}
				if err := read(s, d); err != nil {
					t.Errorf("after another push: %v", err)
				}
			})
		}
	}
}

func TestReadBlobTooLarge(t *testing.T) {
	s := open(t, "")
	d, err := s.WriteBlob(t.Context(), image.MediaTypeManifest, make([]byte, image.MaxMetadata+1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadBlob(t.Context(), d.Digest); !errors.Is(err, errs.ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
}

// TestNewBlob writes a blob without knowing its digest.
func TestNewBlob(t *testing.T) {
	s := open(t, t.TempDir())
	for _, commit := range []bool{false, true} {
		w, err := s.NewBlob(t.Context())
		must(t, err)
		for _, part := range []string{"some", " ", "bytes"} {
			_, err := w.Write([]byte(part))
			must(t, err)
		}
		want := image.NewDescriptor(image.MediaTypeLayer, []byte("some bytes"))
		if commit {
			d, err := w.Commit(t.Context(), image.MediaTypeLayer)
			must(t, err)
			if d.Digest != want.Digest || d.Size != want.Size {
				t.Errorf("it is %+v, want %+v", d, want)
			}
		}
		must(t, w.Close())
		if ok, err := s.Exists(t.Context(), want); ok != commit || err != nil {
			t.Errorf("committed %v, there %v, %v", commit, ok, err)
		}
	}
	must(t, s.Close())
	empty(t, s, "tmp")
}
