package source

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/layer"
)

// PlaceHTTP writes the fetched file into dir under its Filename, with the mode
// (0600 when none was asked for), owner and group of the request. Its times are
// the server's Last-Modified, or the Unix epoch. The name must be free; a file
// left behind by an error is removed.
func (c *Client) PlaceHTTP(res *HTTPResult, dir *os.File) error {
	if err := res.place(dir); err != nil {
		return fmt.Errorf("place download %s: %w", res.Filename, err)
	}
	return nil
}

func (r *HTTPResult) place(dir *os.File) (err error) {
	if r.Path == "" {
		return errors.New("body was not fetched")
	}
	src, err := os.Open(r.Path)
	if err != nil {
		return err
	}
	defer src.Close()
	fd, err := unix.Openat(int(dir.Fd()), r.Filename, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "create", Path: r.Filename, Err: err}
	}
	dst := os.NewFile(uintptr(fd), r.Filename)
	defer func() {
		if e := dst.Close(); err == nil {
			err = e
		}
		if err != nil {
			_ = unix.Unlinkat(int(dir.Fd()), r.Filename, 0)
		}
	}()
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	return r.attrs.apply(dst, r.LastModified)
}

// apply sets owner before mode, since a change of owner clears setuid bits.
func (a httpAttrs) apply(f *os.File, modified *time.Time) error {
	if a.uid != 0 || a.gid != 0 {
		if err := layer.ChownFile(int(f.Fd()), a.uid, a.gid); err != nil {
			return err
		}
	}
	perm := a.perm
	if perm == 0 {
		perm = 0o600
	}
	if err := unix.Fchmod(int(f.Fd()), perm); err != nil {
		return &os.PathError{Op: "chmod", Path: f.Name(), Err: err}
	}
	t := time.Unix(0, 0)
	if modified != nil {
		t = *modified
	}
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return err
	}
	tv := unix.Timeval{Sec: ts.Sec} // HTTP dates are whole seconds
	if err := unix.Futimes(int(f.Fd()), []unix.Timeval{tv, tv}); err != nil {
		return &os.PathError{Op: "set times of", Path: f.Name(), Err: err}
	}
	return nil
}
