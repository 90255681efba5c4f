// Package redact keeps secret values out of what is written to disk.
package redact

import (
	"bytes"
	"io"
	"slices"
	"sync"
)

// mark stands where a value stood.
const mark = "****"

// minValue is the length from which a value is worth masking: shorter ones
// would mangle text that has nothing to do with them.
const minValue = 4

// A Mask knows values that must not be written. It is safe for concurrent use;
// the zero Mask knows none.
type Mask struct {
	mu     sync.RWMutex
	values [][]byte // longest first
}

// Add makes value known, and each of its lines: a program that prints a file
// may print it line by line. Values shorter than four bytes are not masked.
func (m *Mask) Add(value []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range append(bytes.Split(value, []byte("\n")), value) {
		v = bytes.TrimSpace(v)
		if len(v) < minValue || slices.ContainsFunc(m.values, func(o []byte) bool { return bytes.Equal(o, v) }) {
			continue
		}
		m.values = append(m.values, bytes.Clone(v))
	}
	slices.SortStableFunc(m.values, func(a, b []byte) int { return len(b) - len(a) })
}

// String gives s with every value masked.
func (m *Mask) String(s string) string { return string(m.bytes([]byte(s))) }

func (m *Mask) bytes(b []byte) []byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, v := range m.values {
		b = bytes.ReplaceAll(b, v, []byte(mark))
	}
	return b
}

// held is how many bytes at the end of b may be the beginning of a value.
func (m *Mask) held(b []byte) int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	longest := 0
	for _, v := range m.values {
		for n := min(len(v)-1, len(b)); n > longest; n-- {
			if bytes.HasSuffix(b, v[:n]) {
				longest = n
				break
			}
		}
	}
	return longest
}

// A Writer masks values in a stream, also those that come in pieces. It is for
// one goroutine.
type Writer struct {
	w    io.Writer
	m    *Mask
	rest []byte // may be the beginning of a value
}

// NewWriter makes a Writer. A nil Mask masks nothing.
func NewWriter(w io.Writer, m *Mask) *Writer { return &Writer{w: w, m: m} }

// Write implements io.Writer. Up to the length of a value is held back until
// more comes, or Flush.
func (w *Writer) Write(b []byte) (int, error) {
	if w.m == nil {
		return w.w.Write(b)
	}
	all := w.m.bytes(append(w.rest, b...))
	keep := w.m.held(all)
	out := all[:len(all)-keep]
	w.rest = bytes.Clone(all[len(all)-keep:])
	if len(out) > 0 {
		if _, err := w.w.Write(out); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// Flush writes what was held back.
func (w *Writer) Flush() error {
	if len(w.rest) == 0 {
		return nil
	}
	_, err := w.w.Write(w.rest)
	w.rest = nil
	return err
}
