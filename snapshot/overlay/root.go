//go:build linux

package overlay

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/layer"
)

// inheritRoot gives the upper directory, which will be the root of the tree, the
// metadata of the topmost lower one. An upper directory that was in use before
// (it has entries, or its work directory has) keeps what it has.
func inheritRoot(upper, work, top string) error {
	for _, dir := range []string{upper, work} {
		empty, err := isEmpty(dir)
		if err != nil {
			return fmt.Errorf("prepare upper directory: %w", err)
		}
		if !empty {
			return nil
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(top, &st); err != nil {
		return fmt.Errorf("prepare upper directory: %w", &os.PathError{Op: "stat", Path: top, Err: err})
	}
	if err := copyMetadata(upper, top, &st); err != nil {
		return fmt.Errorf("prepare upper directory %s: %w", upper, err)
	}
	return nil
}

func copyMetadata(to, from string, st *unix.Stat_t) error {
	if err := os.Chown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Chmod(to, st.Mode&0o7777); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	if err := copyXattrs(to, from); err != nil {
		return err
	}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, to, []unix.Timespec{st.Atim, st.Mtim}, 0); err != nil {
		return fmt.Errorf("set times: %w", err)
	}
	return nil
}

// copyXattrs copies the extended attributes but overlayfs's own.
func copyXattrs(to, from string) error {
	names := make([]byte, 64<<10)
	n, err := unix.Listxattr(from, names)
	if err == unix.ENOTSUP || n == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list attributes of %s: %w", from, err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		if layer.IsMark(name) || name == "security.selinux" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Getxattr(from, name, value)
		if err != nil {
			return fmt.Errorf("read attribute %s of %s: %w", name, from, err)
		}
		if err := unix.Setxattr(to, name, value[:n], 0); err != nil {
			return fmt.Errorf("set attribute %s: %w", name, err)
		}
	}
	return nil
}

func isEmpty(dir string) (bool, error) {
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	names, _ := f.Readdirnames(1)
	return len(names) == 0, nil
}
