package layer

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// Spread tells ext4 that the directories made in dir from now on have nothing
// to do with each other (chattr +T). It is for a directory that holds many
// layer trees: ext4 else puts a new tree beside those deleted a moment ago, and
// searches past their inodes for each new file, which makes Apply ten times
// slower. Other file systems answer errors.ErrUnsupported, which callers can
// ignore.
func Spread(dir string) error {
	const topDir = 0x20000 // FS_TOPDIR_FL of linux/fs.h
	fd, err := openTree(dir)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags|topDir))
	}
	if err == unix.ENOTTY || err == unix.EOPNOTSUPP || err == unix.EINVAL {
		err = unix.ENOTSUP
	}
	if err != nil {
		return &fs.PathError{Op: "spread", Path: dir, Err: err}
	}
	return nil
}
