package source

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/layer"
)

// archiveHeader is how many bytes DetectArchive wants to see.
const archiveHeader = 1024

// DetectArchive says whether data that begins with header is a tar archive, bare
// or compressed. Compressed data of any kind counts: it cannot be a Dockerfile.
// The first 512 bytes are enough.
func DetectArchive(header []byte) bool {
	rc, compression, err := layer.Decompress(bytes.NewReader(header))
	if err == nil {
		rc.Close()
	}
	return compression != "" || isTarBlock(header)
}

// isTarBlock says whether header begins with a block that tar would accept: one
// with a right checksum, whatever its dialect, or the zeros that end an archive,
// which make up an empty one.
func isTarBlock(header []byte) bool {
	const size, at, width = 512, 148, 8
	if len(header) < size {
		return false
	}
	block := header[:size]
	unsigned, signed := int64(width*' '), int64(width*' ') // both are in use
	zero := true
	for i, b := range block {
		zero = zero && b == 0
		if i < at || i >= at+width {
			unsigned += int64(b)
			signed += int64(int8(b))
		}
	}
	if zero {
		return true
	}
	digits, _, _ := strings.Cut(strings.Trim(string(block[at:at+width]), " \x00"), "\x00")
	want, err := strconv.ParseInt(digits, 8, 64)
	return err == nil && (want == unsigned || want == signed)
}

// NewestInTar gives the newest modification time of the regular files in a tar
// archive, bare or compressed: the time of a context that is one. The zero time
// means that it holds no files. Malformed archives match errs.ErrInvalid.
func NewestInTar(r io.Reader) (time.Time, error) {
	var newest time.Time
	plain, _, err := layer.Decompress(r)
	if err != nil {
		return newest, fmt.Errorf("time of archive: %w: %w", errs.ErrInvalid, err)
	}
	defer plain.Close()
	tr := tar.NewReader(plain)
	for {
		h, err := tr.Next()
		switch {
		case errors.Is(err, io.EOF):
			return newest, nil
		case err != nil:
			return time.Time{}, fmt.Errorf("time of archive: %w: %w", errs.ErrInvalid, err)
		}
		if h.FileInfo().Mode().IsRegular() && h.ModTime.After(newest) {
			newest = h.ModTime.UTC()
		}
	}
}

// peek reads the first bytes and gives them and a reader of everything.
func peek(r io.Reader) (header []byte, all io.Reader, err error) {
	header = make([]byte, archiveHeader)
	n, err := io.ReadFull(r, header)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, err
	}
	header = header[:n]
	return header, io.MultiReader(bytes.NewReader(header), r), nil
}
