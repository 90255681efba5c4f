package layer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"

	"github.com/klauspost/compress/flate"

	"github.com/mica-build/mica/errs"
)

const (
	gzipBlock = 1 << 20  // input bytes deflated at a time
	gzipDict  = 32 << 10 // deflate's window
)

// gzipWriter deflates fixed blocks of the input at the same time, each with
// the end of the one before as its dictionary, and writes them in order as one
// gzip member. Blocks do not depend on each other's output, so the bytes are
// the same however many run at once. See RFC 1952.
type gzipWriter struct {
	w       io.Writer
	level   int
	crc     uint32
	size    uint32
	block   []byte // input of the block being filled, after dictLen bytes of dictionary
	dictLen int
	pending chan *gzipJob // oldest first
	started bool
	closed  bool
	err     error
}

// gzipJob is one block on its way.
type gzipJob struct {
	in      []byte
	dictLen int
	final   bool
	out     bytes.Buffer
	err     error
	done    chan struct{}
}

func newGzipWriter(w io.Writer, level int) (*gzipWriter, error) {
	switch {
	case level == 0:
		level = flate.DefaultCompression
	case level < flate.BestSpeed || level > flate.BestCompression:
		return nil, fmt.Errorf("gzip level %d, want 1 to 9: %w", level, errs.ErrInvalid)
	}
	return &gzipWriter{
		w:       w,
		level:   level,
		block:   make([]byte, 0, gzipDict+gzipBlock),
		pending: make(chan *gzipJob, runtime.GOMAXPROCS(0)),
	}, nil
}

// Write implements io.Writer.
func (g *gzipWriter) Write(p []byte) (n int, err error) {
	if g.closed {
		return 0, fmt.Errorf("write gzip stream: %w", io.ErrClosedPipe)
	}
	for len(p) > 0 && g.err == nil {
		room := g.dictLen + gzipBlock - len(g.block)
		if room == 0 {
			g.flush(false)
			continue
		}
		k := min(room, len(p))
		g.block = append(g.block, p[:k]...)
		g.crc = crc32.Update(g.crc, crc32.IEEETable, p[:k])
		g.size += uint32(k)
		p, n = p[k:], n+k
	}
	return n, g.err
}

// Close implements io.Closer: it ends the stream.
func (g *gzipWriter) Close() error {
	if g.closed {
		return g.err
	}
	g.closed = true
	if g.err == nil {
		g.flush(true)
	}
	for len(g.pending) > 0 {
		g.drain()
	}
	if g.err == nil {
		trailer := binary.LittleEndian.AppendUint32(nil, g.crc)
		_, g.err = g.w.Write(binary.LittleEndian.AppendUint32(trailer, g.size))
	}
	return g.err
}

// flush starts deflating the block and begins the next one.
func (g *gzipWriter) flush(final bool) {
	for len(g.pending) == cap(g.pending) {
		g.drain()
	}
	j := &gzipJob{in: g.block, dictLen: g.dictLen, final: final, done: make(chan struct{})}
	go j.run(g.level)
	g.pending <- j
	if final {
		return
	}
	next := make([]byte, 0, gzipDict+gzipBlock)
	g.block = append(next, j.in[len(j.in)-gzipDict:]...)
	g.dictLen = gzipDict
}

// drain waits for the oldest block and writes it.
func (g *gzipWriter) drain() {
	j := <-g.pending
	<-j.done
	if g.err == nil && !g.started {
		// No name, no time, unknown system.
		_, g.err = g.w.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
		g.started = true
	}
	if g.err == nil {
		g.err = j.err
	}
	if g.err == nil {
		_, g.err = g.w.Write(j.out.Bytes())
	}
}

// run deflates a block; all but the last end on a byte with an empty stored block.
func (j *gzipJob) run(level int) {
	defer close(j.done)
	j.out.Grow(gzipBlock / 3)
	fw, err := flate.NewWriterDict(&j.out, level, j.in[:j.dictLen])
	if err == nil {
		_, err = fw.Write(j.in[j.dictLen:])
	}
	if err == nil && j.final {
		err = fw.Close()
	} else if err == nil {
		err = fw.Flush()
	}
	j.err = err
}
