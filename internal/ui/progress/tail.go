package progress

import (
	"bytes"
	"io"
)

// A tail keeps the last max bytes written to it, from the start of a line.
type tail struct {
	max int
	buf []byte
	cut bool // something was dropped
}

// Write implements io.Writer and never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*t.max { // twice, so that each byte is moved once
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-t.max:]...)
		t.cut = true
	}
	return len(p), nil
}

// WriteTo implements io.WriterTo.
func (t *tail) WriteTo(w io.Writer) (int64, error) {
	b := t.buf
	cut := t.cut
	if len(b) > t.max {
		b, cut = b[len(b)-t.max:], true
	}
	if _, rest, ok := bytes.Cut(b, []byte("\n")); cut && ok {
		b = rest
	}
	n, err := w.Write(b)
	return int64(n), err
}
