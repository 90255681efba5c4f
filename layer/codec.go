package layer

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/mica-build/mica/errs"
)

// maxWindow bounds the memory a zstd stream can ask for; it is what
// zstd --long makes.
const maxWindow = 128 << 20

// codecs names each compression by how its streams begin.
var codecs = []struct{ name, magic string }{
	{"gzip", "\x1f\x8b\x08"},
	{"zstd", "\x28\xb5\x2f\xfd"},
	{"xz", "\xfd7zXZ\x00"},
	{"bzip2", "BZh"},
}

// Decompress detects gzip, zstd, bzip2 and xz by content and gives the plain
// bytes; anything else passes through. name is "gzip", "zstd", "bzip2", "xz" or "".
//
// Closing rc frees the decoder and leaves r alone. A stream that ends early or
// fails its own checksum is an error of Read. A zstd stream that needs
// more than 128 MiB of window is refused with errs.ErrTooLarge.
func Decompress(r io.Reader) (rc io.ReadCloser, name string, err error) {
	br := bufio.NewReaderSize(r, 64<<10)
	head, err := br.Peek(10)
	if err != nil && err != io.EOF {
		return nil, "", fmt.Errorf("detect compression: %w", err)
	}
	err = nil
	name = sniff(head)
	switch name {
	case "gzip":
		rc, err = gzip.NewReader(br)
	case "zstd":
		rc, err = newZstdReader(br)
	case "xz":
		rc, err = newXZReader(br)
	case "bzip2":
		rc = io.NopCloser(bzip2.NewReader(br))
	default:
		rc = io.NopCloser(br)
	}
	if err != nil {
		return nil, name, fmt.Errorf("read %s stream: %w", name, err)
	}
	return rc, name, nil
}

func sniff(head []byte) string {
	for _, c := range codecs {
		if bytes.HasPrefix(head, []byte(c.magic)) && (c.name != "bzip2" || isBzip2(head)) {
			return c.name
		}
	}
	// A skippable frame may come before the first zstd frame.
	if len(head) >= 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18" {
		return "zstd"
	}
	return ""
}

// isBzip2 looks past the three letters, which a file name in a tar could have:
// the block size and the mark of the first block or of the end.
func isBzip2(head []byte) bool {
	return len(head) == 10 && head[3] >= '1' && head[3] <= '9' &&
		(string(head[4:]) == "\x31\x41\x59\x26\x53\x59" || string(head[4:]) == "\x17\x72\x45\x38\x50\x90")
}

func newZstdReader(r io.Reader) (io.ReadCloser, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return limitedWindow{d.IOReadCloser()}, nil
}

// limitedWindow gives zstd's own error our meaning.
type limitedWindow struct{ io.ReadCloser }

func (l limitedWindow) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if err == zstd.ErrWindowSizeExceeded {
		err = fmt.Errorf("%w: %w", err, errs.ErrTooLarge)
	}
	return n, err
}

// Compress writes a stream of kind "gzip", "zstd" or "" (none) to w. Its bytes
// depend on the input and the level only, not on the number of cores.
// level 0 is the default; otherwise gzip takes 1 to 9 and zstd 1 to 22.
//
// Close ends the stream and leaves w alone; it must be called.
func Compress(w io.Writer, kind string, level int) (io.WriteCloser, error) {
	switch kind {
	case "":
		return nopWriteCloser{w}, nil
	case "gzip":
		return CompressGzip(w, GzipOptions{Level: level})
	case "zstd":
		return newZstdWriter(w, level)
	}
	return nil, fmt.Errorf("compress with %q: %w", kind, errs.ErrUnsupported)
}

type nopWriteCloser struct{ io.Writer }

func (nopWriteCloser) Close() error { return nil }

func newZstdWriter(w io.Writer, level int) (io.WriteCloser, error) {
	l := zstd.SpeedDefault
	if level != 0 {
		if level < 1 || level > 22 {
			return nil, fmt.Errorf("zstd level %d, want 1 to 22: %w", level, errs.ErrInvalid)
		}
		l = zstd.EncoderLevelFromZstd(level)
	}
	e, err := zstd.NewWriter(w, zstd.WithEncoderLevel(l), zstd.WithEncoderConcurrency(zstdWorkers))
	if err != nil {
		return nil, fmt.Errorf("write zstd stream: %w", err)
	}
	return e, nil
}

// zstdWorkers lets reading and encoding overlap. The bytes are the same for
// any number (a test holds it).
const zstdWorkers = 2

func newXZReader(r io.Reader) (io.ReadCloser, error) {
	x, err := xz.NewReader(r)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(x), nil
}
