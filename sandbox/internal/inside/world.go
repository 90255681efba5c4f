//go:build linux

package inside

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// A world is the mount tree while it is built.
type world struct {
	c *Config
	// stage is a tmpfs on the old root that holds files to be bound.
	stage int
	root  int // the new root's mount
	proc  int // its roots of proc, sysfs and /dev
	sys   int
	dev   int
}

// build mounts everything, on top of the old root, which enter takes away.
func (w *world) build() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	steps := []struct {
		name string
		do   func() error
	}{
		{"files", w.makeStage},
		{"root", w.attachRoot},
		{"/proc", w.mountProc},
		{"/dev", w.mountDev},
		{"/sys", w.mountSys},
		{"/sys/fs/cgroup", w.mountCgroup},
		{"/etc", w.mountFiles},
		{"user mounts", w.mountUser},
		{"sysctls", w.sysctls},
		{"read-only paths", w.protect},
		{"masked paths", w.mask},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// makeStage stacks a small tmpfs over the old root, where no path reaches it.
func (w *world) makeStage() (err error) {
	if w.stage, err = newFS("tmpfs", nosuid|nodev|noexec, "mode=755", "size=64m"); err != nil {
		return err
	}
	for name, data := range map[string][]byte{"hosts": w.c.Hosts, "resolv.conf": w.c.Resolv} {
		if err := writeFile(w.stage, name, data); err != nil {
			return err
		}
	}
	return attachAt(w.stage, unix.AT_FDCWD, "/")
}

func writeFile(dir int, name string, data []byte) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	defer unix.Close(fd)
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		data = data[n:]
	}
	return nil
}

// attachRoot stacks the new root on top of the stage.
func (w *world) attachRoot() error {
	w.root = rootFD
	if w.c.RootPath != "" {
		fd, err := rebind(rootFD, w.c.RootPath)
		if err != nil {
			return err
		}
		w.root = fd
	}
	if err := attachAt(w.root, unix.AT_FDCWD, "/"); err != nil {
		return err
	}
	// The caller's propagation is not ours.
	err := unix.MountSetattr(w.root, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Propagation: unix.MS_PRIVATE})
	if errors.Is(err, unix.ENOSYS) {
		err = unix.Mount("", procPath(w.root), "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	return err
}

// target opens the place for a mount in the new root, following its symbolic
// links within it. What is missing is made: directories, and a file for a file.
func (w *world) target(name string, file bool) (int, error) {
	fd, err := lookup(w.root, name, 0)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	dir, base := path.Split(strings.TrimRight(name, "/"))
	if base == "" || base == ".." {
		return -1, err
	}
	parent, err := w.target(path.Clean("/"+dir), false)
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	if file {
		var f int
		if f, err = unix.Openat(parent, base, unix.O_CREAT|unix.O_EXCL|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644); err == nil {
			unix.Close(f)
		}
	} else {
		err = unix.Mkdirat(parent, base, 0o755)
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, fmt.Errorf("make %s: %w", name, err)
	}
	fd, err = lookup(w.root, name, 0)
	if errors.Is(err, unix.ENOENT) {
		err = fmt.Errorf("dangling symbolic link: %w", err)
	}
	return fd, err
}

// place attaches the detached mount fd at name in the new root.
func (w *world) place(fd int, name string, file bool) error {
	target, err := w.target(name, file)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer unix.Close(target)
	if err := sameKind(target, file); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := attach(fd, target); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// sameKind refuses to mount a file over a directory and the reverse, for which
// the kernel has no clear error.
func sameKind(target int, file bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(target, &st); err != nil {
		return err
	}
	switch dir := st.Mode&unix.S_IFMT == unix.S_IFDIR; {
	case file && dir:
		return unix.EISDIR
	case !file && !dir:
		return unix.ENOTDIR
	}
	return nil
}

// bind places a detached bind mount with further attributes.
func (w *world) bind(fd int, name string, file bool, attr uint64, recursive bool) error {
	err := error(nil)
	if attr != 0 {
		err = setAttr(fd, attr, recursive)
	}
	if err != nil && err != errOldKernel {
		return fmt.Errorf("%s: %w", name, err)
	}
	if perr := w.place(fd, name, file); perr != nil {
		return perr
	}
	if err == errOldKernel {
		return remount(fd, attr)
	}
	return nil
}

func procPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// deviceAttr is nodev where no cgroup keeps the process from devices.
func (w *world) deviceAttr() uint64 {
	if w.c.NoDevices {
		return nodev
	}
	return 0
}

// enter makes the new root the root of this process and lets go of the old.
func (w *world) enter() error {
	attr := w.deviceAttr()
	if w.c.ReadonlyRoot {
		attr |= rdonly
	}
	if attr != 0 {
		if err := changeAttr(w.root, attr); err != nil {
			return fmt.Errorf("set attributes of root: %w", err)
		}
	}
	if err := unix.Fchdir(w.root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := w.uncover(); err != nil {
		return fmt.Errorf("detach old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	return chdir(w.c.Dir)
}

// uncover unmounts all that pivot_root put on top of the new root: the old one
// and, above it, the stage. ".." of a root is what is stacked on it.
func (w *world) uncover() error {
	own, err := mountID(w.root, "")
	if err != nil {
		return err
	}
	for range 64 {
		top, err := mountID(unix.AT_FDCWD, "..")
		if err != nil || top == own {
			return err
		}
		if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
			return err
		}
	}
	return errors.New("mounts without end")
}

// mountID tells mounts apart. Linux 5.8.
func mountID(dir int, name string) (uint64, error) {
	var st unix.Statx_t
	if err := unix.Statx(dir, name, unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		return 0, fmt.Errorf("statx: %w", err)
	}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return 0, errors.New("the kernel tells no mount ids")
	}
	return st.Mnt_id, nil
}

// chdir enters the working directory and checks that it is inside the root,
// whatever open file a path may have led through (CVE-2024-21626).
func chdir(dir string) error {
	if dir == "" {
		dir = "/"
	}
	if err := unix.Chdir(dir); err != nil {
		return fmt.Errorf("working directory %s: %w", dir, err)
	}
	if wd, err := unix.Getwd(); err != nil || !strings.HasPrefix(wd, "/") {
		return fmt.Errorf("working directory %s is outside of the root: %w", dir, unix.EXDEV)
	}
	return nil
}
