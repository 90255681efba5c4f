package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/layer"
)

// maxEntries bounds the names in an archive, maxLinks how many links lead to a file.
const (
	maxEntries = 200_000
	maxLinks   = 16
)

// A member is a file in the tar.
type member struct {
	offset, size int64
	link         string // the member that is meant instead
}

// A spool is a tar on disk and where its files are.
type spool struct {
	f       *os.File
	members map[string]member
	close   func() error
}

// newSpool makes r seekable and plain: as it is if it is a plain tar file, else
// in a file of dir that has no name.
func newSpool(ctx context.Context, r io.Reader, o Options) (*spool, error) {
	s := &spool{members: map[string]member{}, close: func() error { return nil }}
	if f, ok := plainTar(r); ok {
		s.f = f
	} else if err := s.fill(ctx, r, o); err != nil {
		return nil, err
	}
	if err := s.scan(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// plainTar says whether r is a regular file, at its beginning, with a tar in it.
func plainTar(r io.Reader) (*os.File, bool) {
	f, ok := r.(*os.File)
	if !ok {
		return nil, false
	}
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return nil, false
	}
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != 0 {
		return nil, false
	}
	magic := make([]byte, 5)
	if _, err := f.ReadAt(magic, 257); err != nil || string(magic) != "ustar" {
		return nil, false
	}
	return f, true
}

// fill copies the decompressed r to a temporary file.
func (s *spool) fill(ctx context.Context, r io.Reader, o Options) (err error) {
	plain, _, err := layer.Decompress(r)
	if err != nil {
		return err
	}
	defer plain.Close()
	f, err := os.CreateTemp(o.TempDir, "archive-*")
	if err != nil {
		return err
	}
	s.f, s.close = f, func() error { return errors.Join(f.Close(), removeIfThere(f.Name())) }
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	var in io.Reader = &stopper{ctx, plain}
	if o.MaxBytes > 0 {
		in = io.LimitReader(in, o.MaxBytes+1)
	}
	n, err := io.Copy(f, in)
	if err == nil && o.MaxBytes > 0 && n > o.MaxBytes {
		err = fmt.Errorf("more than %d bytes: %w", o.MaxBytes, errs.ErrTooLarge)
	}
	return err
}

func removeIfThere(name string) error {
	if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// stopper ends a copy when its context ends.
type stopper struct {
	ctx context.Context
	r   io.Reader
}

func (s *stopper) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// scan notes where each file of the tar is.
func (s *spool) scan(ctx context.Context) error {
	if _, err := s.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	st, err := s.f.Stat()
	if err != nil {
		return err
	}
	// A section, not the file: tar skips with Seek, and its offset is ours alone.
	section := io.NewSectionReader(s.f, 0, st.Size())
	for tr := tar.NewReader(section); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read tar: %w: %w", errs.ErrInvalid, err)
		}
		if len(s.members) >= maxEntries {
			return fmt.Errorf("more than %d entries: %w", maxEntries, errs.ErrTooLarge)
		}
		at, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if err := s.note(h, at, st.Size()); err != nil {
			return err
		}
	}
}

// note remembers one entry whose content begins at offset at.
func (s *spool) note(h *tar.Header, at, end int64) error {
	name := clean(h.Name)
	switch h.Typeflag {
	case tar.TypeReg:
		if sparse(h) {
			return fmt.Errorf("%q is a sparse file: %w", h.Name, errs.ErrUnsupported)
		}
		if h.Size > end-at {
			return fmt.Errorf("%q is cut off: %w: %w", h.Name, errs.ErrInvalid, io.ErrUnexpectedEOF)
		}
		s.members[name] = member{offset: at, size: h.Size}
	case tar.TypeSymlink:
		s.members[name] = member{link: clean(path.Join(path.Dir(name), h.Linkname))}
	case tar.TypeLink:
		s.members[name] = member{link: clean(h.Linkname)}
	case tar.TypeGNUSparse:
		return fmt.Errorf("%q is a sparse file: %w", h.Name, errs.ErrUnsupported)
	}
	return nil
}

func sparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// clean makes the names "./a/b", "/a/b" and "a/b" one.
func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// find looks a file up, through links.
func (s *spool) find(name string) (*io.SectionReader, error) {
	at := clean(name)
	for range maxLinks {
		m, ok := s.members[at]
		if !ok {
			return nil, fmt.Errorf("%q in archive: %w", name, errs.ErrNotFound)
		}
		if m.link == "" {
			return io.NewSectionReader(s.f, m.offset, m.size), nil
		}
		at = m.link
	}
	return nil, fmt.Errorf("%q in archive: too many links: %w", name, errs.ErrInvalid)
}

// read reads a small file whole.
func (s *spool) read(name string) ([]byte, error) {
	r, err := s.find(name)
	if err != nil {
		return nil, err
	}
	if r.Size() > image.MaxMetadata {
		return nil, fmt.Errorf("%q in archive: %d bytes, limit %d: %w", name, r.Size(), image.MaxMetadata, errs.ErrTooLarge)
	}
	return io.ReadAll(r)
}
