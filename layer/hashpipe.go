package layer

import "crypto/sha256"

const (
	pipeChunk  = 256 << 10
	pipeChunks = 6
)

// hashPipe hashes what is written to it in a goroutine of its own.
type hashPipe struct {
	free, full chan []byte
	made       int // chunks; a small layer needs one
	cur        []byte
	size       int64
	result     chan []byte
}

func newHashPipe() *hashPipe {
	h := &hashPipe{
		free:   make(chan []byte, pipeChunks),
		full:   make(chan []byte, pipeChunks),
		result: make(chan []byte, 1),
	}
	h.next()
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

// next takes a chunk to fill.
func (h *hashPipe) next() {
	select {
	case h.cur = <-h.free:
		return
	default:
	}
	if h.made < pipeChunks {
		h.made++
		h.cur = make([]byte, 0, pipeChunk)
		return
	}
	h.cur = <-h.free
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
			h.next()
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
