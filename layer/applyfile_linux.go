package layer

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// putFile writes a regular file.
func (a *applier) putFile(dir *dirHandle, base string, h *tar.Header, r io.Reader) error {
	var fd int
	err := a.create(dir, base, func() (err error) {
		fd, err = unix.Openat(dir.fd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	n, err := a.content(fd, r, h.Size)
	a.stats.Bytes += n
	if err != nil {
		return err
	}
	return a.allAttrs(dir.fd, base, h)
}

// content copies the bytes of one file. Blocks of zeros are not written, so
// that a sparse file stays one.
func (a *applier) content(fd int, r io.Reader, size int64) (n int64, err error) {
	hole := false
	for n < size {
		if err := a.ctx.Err(); err != nil {
			return n, err
		}
		k, err := io.ReadFull(r, a.buf[:min(int64(len(a.buf)), size-n)])
		if err != nil {
			return n, badTar(err)
		}
		if hole, err = writeAt(fd, a.buf[:k], n); err != nil {
			return n, err
		}
		n += int64(k)
	}
	if hole {
		return n, retry(func() error { return unix.Ftruncate(fd, size) })
	}
	return n, nil
}

const holeBlock = 4096

var zeros [holeBlock]byte

// writeAt writes b but for its blocks of zeros; hole says that it ended with one.
func writeAt(fd int, b []byte, off int64) (hole bool, err error) {
	start := 0 // of what is to be written
	for i := 0; i+holeBlock <= len(b); i += holeBlock {
		if b[i] != 0 || !bytes.Equal(b[i:i+holeBlock], zeros[:]) {
			continue
		}
		if err := pwriteFull(fd, b[start:i], off+int64(start)); err != nil {
			return false, err
		}
		start = i + holeBlock
	}
	return start == len(b), pwriteFull(fd, b[start:], off+int64(start))
}

func pwriteFull(fd int, b []byte, off int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(fd, b, off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}
