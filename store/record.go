//go:build linux

package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mica-build/mica/errs"
)

// A Key is the hash of everything a step's result depends on (hex).
type Key string

// A Record is the remembered result of one build step.
type Record struct {
	Key         Key         `json:"key"`
	ResultKey   Key         `json:"resultKey"` // what steps on top of this one use as their input's key
	Outputs     [][]LayerID `json:"outputs"`   // per output, the stack of layers, bottom first
	Preimage    []byte      `json:"preimage"`  // canonical JSON that was hashed to Key
	Description string      `json:"description"`
	Type        string      `json:"type"` // regular, source.local, exec.cachemount, ...
	Created     time.Time   `json:"created"`
	LastUsed    time.Time   `json:"-"`          // the record file's mtime
	UsageCount  int         `json:"usageCount"` // how often Record found it
	Parents     []Key       `json:"parents"`
	Usage       int64       `json:"-"` // bytes on disk of the record itself
}

// Record finds a record whose layers are all still there, pins them, and marks it used.
// errs.ErrNotFound otherwise.
func (s *Store) Record(ctx context.Context, k Key) (*Record, error) {
	var r *Record
	err := s.find(ctx, func() (pins []string, err error) {
		if r, err = s.readRecord(k); err != nil {
			return nil, err
		}
		return s.outputs(r)
	})
	if err != nil {
		return nil, fmt.Errorf("cache record %s: %w", k, err)
	}
	s.markUsed(r)
	return r, nil
}

// markUsed appends a newline to the record's file: the newlines behind the JSON
// count the uses, and the file's time says when the last one was. It is no
// matter if that fails.
func (s *Store) markUsed(r *Record) {
	f, err := os.OpenFile(s.recordPath(r.Key), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if _, err := f.Write([]byte("\n")); err == nil {
		r.UsageCount++
		r.LastUsed = time.Now()
	}
}

// PutRecord publishes r, replacing an older record of the same key, whose usage
// count it takes over. All its layers must be there: errs.ErrNotFound.
func (s *Store) PutRecord(ctx context.Context, r *Record) error {
	if err := s.putRecord(ctx, r); err != nil {
		return fmt.Errorf("put cache record %s: %w", r.Key, advise(err))
	}
	return nil
}

func (s *Store) putRecord(ctx context.Context, r *Record) error {
	if !isName(string(r.Key)) {
		return fmt.Errorf("key %q: %w", r.Key, errs.ErrInvalid)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.publish(ctx, nil, func() error {
		pins, err := s.outputs(r)
		if err != nil {
			return err
		}
		if err := s.lease.add(pins); err != nil {
			return err
		}
		if old, err := s.readRecord(r.Key); err == nil {
			b = append(b, bytes.Repeat([]byte("\n"), old.UsageCount)...)
		}
		return s.replace(ctx, s.recordPath(r.Key), b)
	})
}

// outputs gives the pins of r's layers if they are all there.
func (s *Store) outputs(r *Record) ([]string, error) {
	var pins []string
	for _, stack := range r.Outputs {
		for _, id := range stack {
			dir, err := s.layerDir(id)
			if err != nil {
				return nil, err
			}
			if _, err := os.Stat(filepath.Join(dir, "meta.json")); err != nil {
				return nil, fmt.Errorf("layer %s: %w", id, notFound(err))
			}
			pins = append(pins, pinLayer(id))
		}
	}
	return pins, nil
}

// Records lists all records, those whose layers are gone too.
func (s *Store) Records(ctx context.Context) ([]*Record, error) {
	dirs, err := os.ReadDir(s.path("records"))
	if err != nil {
		return nil, fmt.Errorf("list cache records: %w", err)
	}
	var out []*Record
	for _, dir := range dirs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		files, err := os.ReadDir(s.path("records", dir.Name()))
		if err != nil {
			return nil, fmt.Errorf("list cache records: %w", err)
		}
		for _, f := range files {
			r, err := s.readRecord(Key(f.Name()))
			if errors.Is(err, errs.ErrNotFound) {
				continue // gone or damaged meanwhile
			}
			if err != nil {
				return nil, fmt.Errorf("list cache records: %w", err)
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// readRecord reads a record. A damaged one is errs.ErrNotFound like a missing one:
// the step runs again and replaces it.
func (s *Store) readRecord(k Key) (*Record, error) {
	if !isName(string(k)) {
		return nil, fmt.Errorf("key %q: %w", k, errs.ErrInvalid)
	}
	f, err := os.Open(s.recordPath(k))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Grow(int(st.Size()) + bytes.MinRead)
	if _, err := b.ReadFrom(f); err != nil {
		return nil, err
	}
	r, err := decodeRecord(b.Bytes())
	if err != nil || r.Key != k {
		return nil, fmt.Errorf("damaged: %w: %w", errs.ErrNotFound, err)
	}
	r.LastUsed = st.ModTime()
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		r.Usage = sys.Blocks * 512
	}
	return r, nil
}

// decodeRecord reads a record file: JSON and a newline for each use.
func decodeRecord(b []byte) (*Record, error) {
	text := bytes.TrimRight(b, "\n")
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("cache record: %w: %w", errs.ErrInvalid, err)
	}
	r.UsageCount = len(b) - len(text)
	return &r, nil
}

func (s *Store) recordPath(k Key) string {
	prefix := string(k)
	if len(prefix) > 2 {
		prefix = prefix[:2]
	}
	return s.path("records", prefix, string(k))
}
