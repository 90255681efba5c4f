//go:build linux

package store

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mica-build/mica/errs"
)

func put(t testing.TB, s *Store, k Key, layers ...LayerID) {
	t.Helper()
	r := &Record{Key: k, ResultKey: "aa", Outputs: [][]LayerID{layers}, Preimage: []byte(`{"op":"run"}`), Description: "RUN true", Type: "regular", Created: time.Now().UTC(), Parents: []Key{"00"}}
	if err := s.PutRecord(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func TestRecord(t *testing.T) {
	s := open(t, "")
	l := commit(t, s, someFiles)
	if _, err := s.Record(t.Context(), "0123"); !errors.Is(err, errs.ErrNotFound) {
		t.Fatalf("record before it was put: %v, want ErrNotFound", err)
	}
	put(t, s, "0123", l.ID)
	var last *Record
	for want := 1; want <= 3; want++ {
		r, err := s.Record(t.Context(), "0123")
		if err != nil {
			t.Fatal(err)
		}
		if r.UsageCount != want {
			t.Errorf("usage count %d, want %d", r.UsageCount, want)
		}
		if time.Since(r.LastUsed) > time.Minute {
			t.Errorf("last used %v", r.LastUsed)
		}
		last = r
	}
	put(t, s, "0123", l.ID, l.ID)
	all, err := s.Records(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%d records, %v, want 1", len(all), err)
	}
	last.Outputs = [][]LayerID{{l.ID, l.ID}}
	if diff := cmp.Diff(last, all[0], cmpopts.IgnoreFields(Record{}, "LastUsed", "Created")); diff != "" {
		t.Errorf("replaced record (-want +got):\n%s", diff)
	}
}

func TestRecordNeedsItsLayers(t *testing.T) {
	s := open(t, "")
	r := &Record{Key: "ab", Outputs: [][]LayerID{{"absent"}}}
	if err := s.PutRecord(t.Context(), r); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("put: %v, want ErrNotFound", err)
	}
	l := commit(t, s, someFiles)
	put(t, s, "ab", l.ID)
	if err := os.RemoveAll(s.path("layers", string(l.ID))); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, s.Root()).Record(t.Context(), "ab"); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("record: %v, want ErrNotFound", err)
	}
}

func TestRecordKeys(t *testing.T) {
	s := open(t, "")
	for _, k := range []Key{"", "../x", "a/b", ".", "a\x00"} {
		if err := s.PutRecord(t.Context(), &Record{Key: k}); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("put %q: %v, want ErrInvalid", k, err)
		}
		if _, err := s.Record(t.Context(), k); err == nil {
			t.Errorf("record %q: no error", k)
		}
	}
}

func TestDamagedRecord(t *testing.T) {
	s := open(t, "")
	for _, text := range []string{"", "\x00\x00", "{", `{"key":"another"}`, "[]"} {
		put(t, s, "abcd")
		if err := os.WriteFile(s.recordPath("abcd"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Record(t.Context(), "abcd"); !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("record %q: %v, want ErrNotFound", text, err)
		}
		put(t, s, "abcd")
		if _, err := s.Record(t.Context(), "abcd"); err != nil {
			t.Errorf("record put again over %q: %v", text, err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"key":"ab","outputs":[["x"]],"created":"2026-01-02T03:04:05Z"}` + "\n\n"))
	f.Add([]byte("\n"))
	f.Add([]byte(`{"outputs":[[],null]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			if !errors.Is(err, errs.ErrInvalid) {
				t.Errorf("error %v, want ErrInvalid", err)
			}
			return
		}
		if r.UsageCount < 0 || r.UsageCount > len(b) {
			t.Errorf("usage count %d of %d bytes", r.UsageCount, len(b))
		}
	})
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte(`{"diffID":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1,"usage":-1,"exact":true}`))
	f.Add([]byte(`{"diffID":"md5:x"}`))
	f.Add([]byte(`{"size":-1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			if !errors.Is(err, errs.ErrInvalid) {
				t.Errorf("error %v, want ErrInvalid", err)
			}
			return
		}
		if m.Size < 0 || m.DiffID != "" && m.DiffID.Validate() != nil {
			t.Errorf("accepted %+v", m)
		}
	})
}
