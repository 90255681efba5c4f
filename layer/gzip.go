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

// A GzipPoint is a place where the making of a gzip stream can be taken up again: the
// first In bytes of the input have become the first Out bytes of the stream. The zero
// value is the beginning.
type GzipPoint struct{ In, Out int64 }

// GzipOptions say how CompressGzip goes about it.
type GzipOptions struct {
	// Level is 1 to 9; 0 is the default.
	Level int
	// From is a point that Reached was told of when the same input was compressed with
	// the same level. The writer wants the input from its beginning all the same; what
	// it writes is the stream from Out on.
	From GzipPoint
	// Reached, if it is not nil, is told of points whose bytes have been written.
	Reached func(GzipPoint)
}

// CompressGzip is Compress of kind "gzip", able to go on where another one stopped.
func CompressGzip(w io.Writer, o GzipOptions) (io.WriteCloser, error) {
	level := o.Level
	switch {
	case level == 0:
		level = flate.DefaultCompression
	case level < flate.BestSpeed || level > flate.BestCompression:
		return nil, fmt.Errorf("gzip level %d, want 1 to 9: %w", level, errs.ErrInvalid)
	}
	from := o.From
	if from.In < 0 || from.In%gzipBlock != 0 || from.Out < 0 || (from.In == 0) != (from.Out == 0) {
		return nil, fmt.Errorf("gzip stream from byte %d, input byte %d, on: %w", from.Out, from.In, errs.ErrInvalid)
	}
	return &gzipWriter{
		w:       w,
		level:   level,
		reached: o.Reached,
		at:      from,
		skip:    from.In,
		block:   make([]byte, 0, gzipDict+gzipBlock),
		pending: make(chan *gzipJob, 2*runtime.GOMAXPROCS(0)),
	}, nil
}

// gzipWriter deflates fixed blocks of the input at the same time, each with
// the end of the one before as its dictionary, and writes them in order as one
// gzip member. Blocks do not depend on each other's output, so the bytes are
// the same however many run at once. See RFC 1952.
type gzipWriter struct {
	w       io.Writer
	level   int
	reached func(GzipPoint)
	at      GzipPoint // what has been written
	skip    int64     // how much input is still to come that has been deflated before
	crc     uint32
	size    uint32
	block   []byte // input of the block being filled, after dictLen bytes of dictionary
	dictLen int
	pending chan *gzipJob // oldest first
	idle    []*gzipJob    // to be used again
	closed  bool
	err     error
}

// gzipJob is one block on its way.
type gzipJob struct {
	in      []byte
	dictLen int
	final   bool
	deflate *flate.Writer
	out     bytes.Buffer
	err     error
	done    chan struct{}
}

// Write implements io.Writer.
func (g *gzipWriter) Write(p []byte) (n int, err error) {
	if g.closed {
		return 0, fmt.Errorf("write gzip stream: %w", io.ErrClosedPipe)
	}
	for len(p) > 0 && g.err == nil {
		room := g.dictLen + gzipBlock - len(g.block)
		if room == 0 {
			g.flush()
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
	if g.err == nil && g.skip > 0 {
		g.err = fmt.Errorf("end gzip stream: the input is shorter than before: %w", errs.ErrInvalid)
	}
	if g.err == nil {
		g.start(g.block, true)
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

// flush is done with a full block and begins the next one, which has the end of it as
// its dictionary.
func (g *gzipWriter) flush() {
	full := g.block
	var next []byte
	if g.skip > 0 {
		g.skip -= gzipBlock
		next = full[:0] // nobody reads the block
	} else {
		next = g.start(full, false)
	}
	g.block = append(next, full[len(full)-gzipDict:]...)
	g.dictLen = gzipDict
}

// start has a block deflated and gives an empty one.
func (g *gzipWriter) start(block []byte, final bool) (empty []byte) {
	if len(g.pending) == cap(g.pending) {
		g.drain()
	}
	j := &gzipJob{}
	if n := len(g.idle); n > 0 {
		j, g.idle = g.idle[n-1], g.idle[:n-1]
		empty = j.in[:0]
	} else if !final {
		empty = make([]byte, 0, gzipDict+gzipBlock)
	}
	j.in, j.dictLen, j.final, j.done = block, g.dictLen, final, make(chan struct{})
	go j.run(g.level)
	g.pending <- j
	return empty
}

// drain waits for the oldest block and writes it.
func (g *gzipWriter) drain() {
	j := <-g.pending
	<-j.done
	g.idle = append(g.idle, j)
	if g.err == nil {
		g.err = j.err
	}
	if g.err == nil && g.at.Out == 0 {
		// No name, no time, unknown system.
		var n int
		n, g.err = g.w.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
		g.at.Out += int64(n)
	}
	if g.err != nil {
		return
	}
	n, err := g.w.Write(j.out.Bytes())
	g.err = err
	g.at.In += int64(len(j.in) - j.dictLen)
	g.at.Out += int64(n)
	if err == nil && !j.final && g.reached != nil {
		g.reached(g.at)
	}
}

// run deflates a block; all but the last end on a byte with an empty stored block.
func (j *gzipJob) run(level int) {
	defer close(j.done)
	j.out.Reset()
	j.out.Grow(gzipBlock / 3)
	if dict := j.in[:j.dictLen]; j.deflate == nil {
		j.deflate, j.err = flate.NewWriterDict(&j.out, level, dict)
	} else {
		j.deflate.ResetDict(&j.out, dict)
	}
	if j.err == nil {
		_, j.err = j.deflate.Write(j.in[j.dictLen:])
	}
	if j.err == nil && j.final {
		j.err = j.deflate.Close()
	} else if j.err == nil {
		j.err = j.deflate.Flush()
	}
}
