//go:build linux

package fileop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/safepath"
	"github.com/mica-build/mica/layer"
)

// Mkdir makes a directory. What exists already keeps its mode, owner and times.
func Mkdir(ctx context.Context, dst *os.File, a *pb.FileActionMkDir, owner *Owner) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := mkdir(dst, a, owner); err != nil {
		return fmt.Errorf("mkdir: %w", err)
	}
	return nil
}

func mkdir(dst *os.File, a *pb.FileActionMkDir, owner *Owner) error {
	at, st, err := resolver{root: dst}.resolve(a.Path, true)
	if err != nil {
		return err
	}
	if st != nil {
		if a.MakeParents && !isDir(st) {
			return pathError("open", at, unix.ENOTDIR)
		}
		return nil
	}
	if !a.MakeParents {
		if _, err := safepath.Lstat(dst, path.Dir("/"+at)); err != nil {
			return err
		}
	}
	var made madeDirs
	defer made.close()
	time := timeOf(a.Timestamp)
	dir, err := safepath.MkdirAll(dst, at, uint32(a.Mode)&0o777, made.add(owner, time))
	if err != nil {
		return err
	}
	dir.Close()
	return made.settle(time)
}

// Mkfile writes a file, in place of any other file at its path.
func Mkfile(ctx context.Context, dst *os.File, a *pb.FileActionMkFile, owner *Owner) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, name, target, err := destination(dst, a.Path)
	if err != nil {
		return fmt.Errorf("mkfile: %w", err)
	}
	defer dir.Close()
	if err := mkfile(int(dir.Fd()), name, a, owner); err != nil {
		return fmt.Errorf("mkfile: %w", pathError("write", target, err))
	}
	return nil
}

func mkfile(dir int, name string, a *pb.FileActionMkFile, owner *Owner) error {
	if name == "." {
		return unix.EISDIR
	}
	if err := unix.Unlinkat(dir, name, 0); err != nil && err != unix.ENOENT {
		return err
	}
	fd, err := openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if _, err := f.Write(a.Data); err != nil {
		return errors.Unwrap(err)
	}
	if owner != nil {
		if err := layer.ChownFile(fd, owner.UID, owner.GID); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(fd, uint32(a.Mode)&0o777); err != nil {
		return err
	}
	if t := timeOf(a.Timestamp); t != nil {
		return setTimes(fd, "", *t)
	}
	return nil
}

// Symlink makes a symbolic link Newpath that says Oldpath. Something that
// exists at Newpath is an error.
func Symlink(ctx context.Context, dst *os.File, a *pb.FileActionSymlink, owner *Owner) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, name, target, err := destination(dst, a.Newpath)
	if err != nil {
		return fmt.Errorf("symlink: %w", err)
	}
	defer dir.Close()
	if err := symlink(int(dir.Fd()), name, a, owner); err != nil {
		return fmt.Errorf("symlink: %w", pathError("create", target, err))
	}
	return nil
}

func symlink(dir int, name string, a *pb.FileActionSymlink, owner *Owner) error {
	if err := unix.Symlinkat(a.Oldpath, dir, name); err != nil {
		return err
	}
	if owner != nil {
		if err := layer.Chown(dir, name, owner.UID, owner.GID); err != nil {
			return err
		}
	}
	if t := timeOf(a.Timestamp); t != nil {
		return setTimes(dir, name, *t)
	}
	return nil
}

// destination opens the directory in which name lies when its links are
// followed, and gives what name is called there ("." for the root).
func destination(dst *os.File, name string) (dir *os.File, base, target string, err error) {
	at, _, err := resolver{root: dst}.resolve(name, true)
	if err != nil {
		return nil, "", "", err
	}
	dir, err = openParent(dst, at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", "", notFound(path.Dir("/" + at))
	}
	return dir, path.Base("./" + at), at, err
}
