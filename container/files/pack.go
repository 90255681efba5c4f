//go:build linux

package files

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/safepath"
)

// PackOptions say how Pack writes.
type PackOptions struct {
	// Name stands in the tar for what is packed; "" packs what is in a directory, without
	// the directory itself.
	Name string
	// Follow packs what a symbolic link leads to.
	Follow bool
	// Owner, if it is not nil, owns everything.
	Owner *[2]int
}

// Pack writes the file or directory name of root as a tar. Sockets are left out, and so
// are other file systems' contents that cannot be read.
func Pack(ctx context.Context, w io.Writer, root *os.File, name string, o PackOptions) error {
	t := tar.NewWriter(w)
	err := pack(ctx, t, root, name, o)
	if err == nil {
		err = t.Close()
	}
	if err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return nil
}

func pack(ctx context.Context, t *tar.Writer, root *os.File, name string, o PackOptions) error {
	flags := unix.O_PATH
	if !o.Follow && !strings.HasSuffix(name, "/") && path.Clean(name) != "/" {
		flags |= unix.O_NOFOLLOW
	}
	f, err := safepath.Open(root, name, flags, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	p := &packer{ctx: ctx, t: t, o: o}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return p.tree(f)
	case unix.S_IFLNK:
		link, err := readlink(f)
		if err != nil {
			return err
		}
		return p.header(o.Name, &st, link)
	}
	return p.file(o.Name, "/proc/self/fd/"+fmt.Sprint(f.Fd()), &st)
}

func readlink(f *os.File) (string, error) {
	buf := make([]byte, 4096)
	n, err := unix.Readlinkat(int(f.Fd()), "", buf)
	return string(buf[:max(n, 0)]), err
}

type packer struct {
	ctx context.Context
	t   *tar.Writer
	o   PackOptions
}

// tree packs a directory.
func (p *packer) tree(dir *os.File) error {
	top, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
	if err != nil {
		return err
	}
	defer top.Close()
	return fs.WalkDir(top.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went away meanwhile
		}
		if err != nil {
			return err
		}
		return p.entry(top, name)
	})
}

func (p *packer) entry(top *os.Root, name string) error {
	info, err := top.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: no stat", name)
	}
	st := unix.Stat_t{Mode: sys.Mode, Uid: sys.Uid, Gid: sys.Gid, Size: sys.Size, Rdev: uint64(sys.Rdev), Mtim: unix.Timespec(sys.Mtim)}
	as := path.Join(p.o.Name, name)
	switch {
	case as == ".":
		return nil
	case info.Mode()&fs.ModeSocket != 0:
		return nil
	case info.Mode()&fs.ModeSymlink != 0:
		link, err := top.Readlink(name)
		if err != nil {
			return err
		}
		return p.header(as, &st, link)
	case !info.Mode().IsRegular():
		return p.header(as, &st, "")
	}
	f, err := top.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return p.content(as, f, &st)
}

// file packs one file.
func (p *packer) file(name, from string, st *unix.Stat_t) error {
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return p.header(name, st, "")
	}
	f, err := os.OpenFile(from, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return p.content(name, f, st)
}

// content writes a regular file of the size it had; one that shrinks meanwhile is filled up.
func (p *packer) content(name string, f *os.File, st *unix.Stat_t) error {
	if err := p.header(name, st, ""); err != nil {
		return err
	}
	n, err := io.CopyN(p.t, f, st.Size)
	if errors.Is(err, io.EOF) {
		_, err = io.CopyN(p.t, zeros{}, st.Size-n)
	}
	return err
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func (p *packer) header(name string, st *unix.Stat_t, link string) error {
	h := &tar.Header{
		Name: name, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid), Linkname: link,
		ModTime: time.Unix(st.Mtim.Unix()), Format: tar.FormatPAX,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, st.Size
	case unix.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
	case unix.S_IFLNK:
		h.Typeflag = tar.TypeSymlink
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR, unix.S_IFBLK:
		h.Typeflag = tar.TypeChar
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	default:
		return nil
	}
	if p.o.Owner != nil {
		h.Uid, h.Gid = p.o.Owner[0], p.o.Owner[1]
	}
	return p.t.WriteHeader(h)
}
