//go:build linux

package monitor

import (
	"errors"
	"io"
	"sync"

	"github.com/mica-build/mica/container/jsonlog"
)

// A listener gets a container's output.
type listener interface {
	output(stream byte, p []byte) error
}

// A hub joins a container's streams with its log and with whoever is attached.
type hub struct {
	log    *jsonlog.Log // nil for none
	out    *jsonlog.Stream
	errOut *jsonlog.Stream

	mu        sync.Mutex
	listeners map[listener]bool
	stdin     *io.PipeWriter // nil if nobody reads
}

func newHub(log *jsonlog.Log) *hub {
	h := &hub{log: log, listeners: map[listener]bool{}}
	if log != nil {
		h.out, h.errOut = log.Stream("stdout"), log.Stream("stderr")
	}
	return h
}

// add attaches l; remove, which may be called twice, ends it.
func (h *hub) add(l listener) (remove func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners[l] = true
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners, l)
	}
}

// A hubWriter is one of the streams that the container writes to.
type hubWriter struct {
	h      *hub
	stream byte
}

// Write never fails: a log that cannot be written, or a listener that is gone, is no
// reason to stop the container.
func (w hubWriter) Write(p []byte) (int, error) {
	h := w.h
	if h.log != nil {
		s := h.out
		if w.stream == frameStderr {
			s = h.errOut
		}
		_, _ = s.Write(p)
	}
	h.mu.Lock()
	all := make([]listener, 0, len(h.listeners))
	for l := range h.listeners {
		all = append(all, l)
	}
	h.mu.Unlock()
	for _, l := range all {
		if l.output(w.stream, p) != nil {
			h.mu.Lock()
			delete(h.listeners, l)
			h.mu.Unlock()
		}
	}
	return len(p), nil
}

// open makes a new standard input for the container's next run.
func (h *hub) open() io.Reader {
	r, w := io.Pipe()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stdin = w
	return r
}

// input gives the container input; it waits until it is read. Without a reader it is lost.
func (h *hub) input(p []byte) error {
	h.mu.Lock()
	w := h.stdin
	h.mu.Unlock()
	if w == nil {
		return nil
	}
	_, err := w.Write(p)
	return err
}

// endInput ends the standard input.
func (h *hub) endInput() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stdin != nil {
		_ = h.stdin.Close()
		h.stdin = nil
	}
}

// flush writes what is left of lines without an end.
func (h *hub) flush() error {
	if h.log == nil {
		return nil
	}
	return errors.Join(h.out.Close(), h.errOut.Close())
}

// direct is a listener in this process.
type direct struct{ out, errOut io.Writer }

func (d *direct) output(stream byte, p []byte) error {
	w := d.out
	if stream == frameStderr {
		w = d.errOut
	}
	if w == nil {
		return nil
	}
	_, err := w.Write(p)
	return err
}
