package server

import (
	"io"
	"net/http"
	"time"
)

// piece is what a client has to take, or send, within Options.Idle.
const piece = 1 << 20

// A pacedWriter gives a client that is slow a bounded time for each piece. It
// hands files on to the writer below, so that the kernel sends them.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	idle    time.Duration
}

// ReadFrom sends r piece by piece.
func (w *pacedWriter) ReadFrom(r io.Reader) (total int64, err error) {
	left := int64(-1)
	if l, ok := r.(*io.LimitedReader); ok { // as http.ServeContent has it
		r, left = l.R, l.N
	}
	for left != 0 {
		n := int64(piece)
		if left > 0 {
			n = min(n, left)
		}
		w.extend()
		sent, err := io.Copy(w.ResponseWriter, &io.LimitedReader{R: r, N: n})
		total += sent
		if left > 0 {
			left -= sent
		}
		if err != nil || sent < n {
			return total, err
		}
	}
	return total, nil
}

// Write sends p.
func (w *pacedWriter) Write(p []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(p)
}

// extend gives time for the next piece. Not every server can.
func (w *pacedWriter) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.idle)) }

// done takes the bound away, for the next request on the connection.
func (w *pacedWriter) done() { _ = w.control.SetWriteDeadline(time.Time{}) }

// paced is the writer for a blob.
func (c *call) paced() *pacedWriter {
	return &pacedWriter{c.w, http.NewResponseController(c.w), c.o.Idle}
}

// A pacedReader is a request's body; it fails with os.ErrDeadlineExceeded when
// nothing comes for too long.
type pacedReader struct {
	r       io.Reader
	control *http.ResponseController
	idle    time.Duration
	until   time.Time
}

// Read reads what comes next.
func (p *pacedReader) Read(b []byte) (int, error) {
	if now := time.Now(); p.until.Sub(now) < p.idle*3/4 {
		p.until = now.Add(p.idle)
		_ = p.control.SetReadDeadline(p.until)
	}
	n, err := p.r.Read(b)
	if err == io.EOF {
		_ = p.control.SetReadDeadline(time.Time{}) // or what we do next would end by it
	}
	return n, err
}
