//go:build linux

package fileop

import (
	"fmt"
	"io/fs"

	"github.com/moby/buildkit/solver/pb"
	mode "github.com/tonistiigi/dchapes-mode"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// chmod is the --chmod of a copy: none, octal or symbolic. The symbolic
// language is read by the library that BuildKit's front end checks it with.
type chmod struct {
	octal    *uint32
	symbolic *mode.Set
}

func newChmod(a *pb.FileActionCopy) (chmod, error) {
	switch {
	case a.ModeStr != "":
		set, err := mode.ParseWithUmask(a.ModeStr, 0)
		if err != nil {
			return chmod{}, fmt.Errorf("chmod %q: %w: %w", a.ModeStr, errs.ErrInvalid, err)
		}
		return chmod{symbolic: &set}, nil
	case a.Mode != -1:
		octal := uint32(a.Mode) & 0o7777
		return chmod{octal: &octal}, nil
	}
	return chmod{}, nil
}

// apply gives the mode of a copied file from st_mode.
func (c chmod) apply(st uint32) uint32 {
	switch {
	case c.octal != nil:
		return *c.octal
	case c.symbolic != nil:
		return unixMode(c.symbolic.Apply(fileMode(st)))
	}
	return st & 0o7777
}

// parents is the mode of directories made on the way to the destination: an
// octal mode reaches them, but only its permissions, a symbolic one does not.
func (c chmod) parents() uint32 {
	if c.octal != nil {
		return *c.octal & 0o777
	}
	return 0o755
}

func fileMode(st uint32) fs.FileMode {
	m := fs.FileMode(st & 0o777)
	for _, b := range modeBits {
		if st&b.unix != 0 {
			m |= b.goes
		}
	}
	if st&unix.S_IFMT == unix.S_IFDIR {
		m |= fs.ModeDir
	}
	return m
}

func unixMode(m fs.FileMode) uint32 {
	st := uint32(m.Perm())
	for _, b := range modeBits {
		if m&b.goes != 0 {
			st |= b.unix
		}
	}
	return st
}

var modeBits = [...]struct {
	unix uint32
	goes fs.FileMode
}{
	{unix.S_ISUID, fs.ModeSetuid},
	{unix.S_ISGID, fs.ModeSetgid},
	{unix.S_ISVTX, fs.ModeSticky},
}
