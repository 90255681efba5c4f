package layer

import "crypto/sha256"

const pipeChunk = 512 << 10

// hashPipe hashes what is written to it in a goroutine of its own.
type hashPipe struct {
	free, full chan []byte
	cur        []byte
	size       int64
	result     chan []byte
}

func newHashPipe() *hashPipe {
	const chunks = 4
	h := &hashPipe{
		free:   make(chan []byte, chunks),
		full:   make(chan []byte, chunks),
		result: make(chan []byte, 1),
	}
	for range chunks {
		h.free <- make([]byte, 0, pipeChunk)
	}
	h.cur = <-h.free
	go h.run()
	return h
}

func (h *hashPipe) run() {
	s := sha256.New()
	for b := range h.full {
		s.Write(b)
		h.free <- b[:0]
	}
	h.result <- s.Sum(nil)
}

// Write implements io.Writer; it never fails.
func (h *hashPipe) Write(p []byte) (int, error) {
	n := len(p)
	h.size += int64(n)
	for len(p) > 0 {
		k := min(len(p), cap(h.cur)-len(h.cur))
		h.cur = append(h.cur, p[:k]...)
		if p = p[k:]; len(h.cur) == cap(h.cur) {
			h.full <- h.cur
			h.cur = <-h.free
		}
	}
	return n, nil
}

// sum ends the goroutine; it must be called, once.
func (h *hashPipe) sum() ([]byte, int64) {
	h.full <- h.cur
	close(h.full)
	return <-h.result, h.size
}
