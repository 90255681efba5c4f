package layer

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/safepath"
)

const (
	maxEntries = 10_000_000
	maxName    = 4095 // bytes of a path; the kernel's limit
	maxXattr   = 64 << 10
)

// applier fills one directory. A path below is always clean, without a slash
// at its start, and "" is the tree's own directory.
type applier struct {
	ctx     context.Context
	o       ApplyOptions
	root    *os.File
	parents merged
	dirs    dirCache
	late    map[fileID]lateDir // what directories get at the end
	made    map[entryKey]bool  // Flat: what this layer put there
	stats   Stats
	buf     []byte
}

func apply(ctx context.Context, r io.Reader, dir string, o ApplyOptions) (Stats, error) {
	root, err := safepath.OpenRoot(dir)
	if err != nil {
		return Stats{}, fmt.Errorf("apply layer: %w", err)
	}
	defer root.Close()
	parents, err := openMerged(o.Parents)
	if err != nil {
		return Stats{}, fmt.Errorf("apply layer: %w", err)
	}
	defer parents.close()
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	a := &applier{ctx: ctx, o: o, root: root, parents: parents, late: map[fileID]lateDir{}, buf: *buf}
	if o.Flat {
		a.made = map[entryKey]bool{}
	}
	defer a.dirs.flush()
	if err := a.prepare(); err != nil {
		return Stats{}, fmt.Errorf("apply layer: %w", err)
	}
	err = a.archive(bufio.NewReaderSize(r, copyBuffer))
	if err == nil {
		err = a.finishDirs()
	}
	if err != nil {
		return a.stats, fmt.Errorf("apply layer: %w", err)
	}
	return a.stats, nil
}

// prepare keeps what lies around the tree from showing in it: a default ACL.
func (a *applier) prepare() error {
	if a.o.Flat {
		return nil
	}
	dir, err := a.dir("")
	if err != nil {
		return err
	}
	switch err := unix.Fremovexattr(dir.fd, defaultACL); err {
	case nil, unix.ENODATA, unix.ENOTSUP:
		return nil
	default:
		return fmt.Errorf("remove xattr %s: %w", defaultACL, err)
	}
}

// archive reads the tar to its end and then what follows it.
func (a *applier) archive(r *bufio.Reader) error {
	tr := tar.NewReader(r)
	for {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // names are our own care
			return badTar(err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if a.stats.Entries++; a.stats.Entries > maxEntries {
			return fmt.Errorf("more than %d entries: %w", maxEntries, errs.ErrTooLarge)
		}
		if err := a.entry(h, tr); err != nil {
			return &entryError{h.Name, err}
		}
	}
	for {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		if _, err := r.Read(a.buf); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// badTar tells a malformed archive from a reader that failed.
func badTar(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read tar: %w: %w", err, errs.ErrInvalid)
	}
	return fmt.Errorf("read tar: %w", err)
}

// entry applies one entry: a whiteout, or something to put at its name.
func (a *applier) entry(h *tar.Header, r io.Reader) error {
	p, err := clean(h.Name)
	if err != nil {
		return err
	}
	if err := a.check(h); err != nil {
		return err
	}
	parent, base := path.Split(p)
	parent = strings.TrimSuffix(parent, "/")
	if hasPart(p, whiteoutPrefix) {
		return a.whiteout(parent, base)
	}
	if p == "" {
		return a.top(h)
	}
	dir, err := a.dir(parent)
	if err != nil {
		return err
	}
	if a.made != nil {
		a.made[entryKey{dir.id, base}] = true
	}
	return a.put(dir, base, p, h, r)
}

// clean makes a name relative to the tree. Leading "../" cannot climb, as in a
// chroot.
func clean(name string) (string, error) {
	if strings.IndexByte(name, 0) >= 0 {
		return "", fmt.Errorf("name with a NUL byte: %w", errs.ErrInvalid)
	}
	p := path.Clean("/" + name)[1:]
	if len(p) > maxName {
		return "", fmt.Errorf("name of %d bytes, limit %d: %w", len(p), maxName, errs.ErrTooLarge)
	}
	return p, nil
}

// check refuses headers whose values no file can have.
func (a *applier) check(h *tar.Header) error {
	const maxID = 1<<32 - 2 // the last one means "leave it"
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) > maxID || int64(h.Gid) > maxID {
		return fmt.Errorf("owner %d:%d: %w", h.Uid, h.Gid, errs.ErrInvalid)
	}
	if a.o.MaxBytes > 0 && h.Size > a.o.MaxBytes-a.stats.Bytes {
		return fmt.Errorf("more than %d bytes of files: %w", a.o.MaxBytes, errs.ErrTooLarge)
	}
	for key, value := range h.PAXRecords {
		if strings.HasPrefix(key, xattrRecord) && len(value) > maxXattr {
			return fmt.Errorf("xattr of %d bytes, limit %d: %w", len(value), maxXattr, errs.ErrTooLarge)
		}
	}
	return nil
}

// top gives the tree's own directory its attributes.
func (a *applier) top(h *tar.Header) error {
	if h.Typeflag != tar.TypeDir {
		return fmt.Errorf("type %q for the tree itself: %w", h.Typeflag, errs.ErrInvalid)
	}
	dir, err := a.dir("")
	if err != nil {
		return err
	}
	return a.dirAttrs(dir.fd, ".", "", h)
}

// put makes the entry base of dir. An existing one is replaced, except that a
// directory entry goes onto an existing directory.
func (a *applier) put(dir *dirHandle, base, p string, h *tar.Header, r io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return a.putDir(dir, base, p, h)
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return a.putFile(dir, base, h, r)
	case tar.TypeLink:
		return a.putLink(dir, base, p, h)
	case tar.TypeSymlink:
		if h.Linkname == "" || strings.IndexByte(h.Linkname, 0) >= 0 {
			return fmt.Errorf("symbolic link to %q: %w", h.Linkname, errs.ErrInvalid)
		}
		return a.putNode(dir, base, h, func() error { return unix.Symlinkat(h.Linkname, dir.fd, base) })
	case tar.TypeFifo:
		return a.putNode(dir, base, h, func() error { return unix.Mkfifoat(dir.fd, base, 0o600) })
	case tar.TypeChar, tar.TypeBlock:
		return a.putDevice(dir, base, p, h)
	}
	return fmt.Errorf("type %q: %w", h.Typeflag, errs.ErrInvalid)
}
