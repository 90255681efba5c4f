//go:build linux

package inside

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func (w *world) mountProc() (err error) {
	if w.c.SharedProc {
		if w.proc, err = cloneAt(unix.AT_FDCWD, "/proc", true); err != nil {
			return err
		}
		return w.bind(w.proc, "/proc", false, uint64(nosuid|nodev|noexec), false)
	}
	w.proc, err = newFS("proc", nosuid|nodev|noexec)
	if errors.Is(err, unix.EPERM) && w.c.Rootless {
		return fmt.Errorf("%w: the container around hides parts of its /proc; %s", err, ProcAdvice)
	}
	if err != nil {
		return err
	}
	return w.place(w.proc, "/proc", false)
}

func (w *world) mountSys() (err error) {
	attr := nosuid | nodev | noexec
	var options []string
	if !w.c.Insecure {
		attr |= rdonly
		options = append(options, "ro")
	}
	w.sys, err = newFS("sysfs", attr, options...)
	if errors.Is(err, unix.EPERM) {
		return w.bindSys()
	}
	if err != nil {
		return err
	}
	return w.place(w.sys, "/sys", false)
}

// bindSys shows the host's /sys where the network namespace, to which a sysfs
// belongs, is not ours.
func (w *world) bindSys() (err error) {
	if w.sys, err = cloneAt(unix.AT_FDCWD, "/sys", true); err != nil {
		return err
	}
	return w.bind(w.sys, "/sys", false, uint64(nosuid|nodev|noexec|rdonly), true)
}

// mountCgroup shows the sandbox its own part of the cgroup tree.
func (w *world) mountCgroup() error {
	attr := nosuid | nodev | noexec
	if !w.c.Insecure {
		attr |= rdonly
	}
	view := &w.c.Cgroup
	if view.Unified {
		fd, err := newFS("cgroup2", attr)
		if err != nil {
			return err
		}
		return w.place(fd, "/sys/fs/cgroup", false)
	}
	if len(view.V1) == 0 {
		return nil
	}
	top, err := newFS("tmpfs", nosuid|nodev|noexec, "mode=755")
	if err != nil {
		return err
	}
	for _, b := range view.V1 {
		if err := unix.Mkdirat(top, b.Name, 0o755); err != nil {
			return err
		}
	}
	if err := w.place(top, "/sys/fs/cgroup", false); err != nil {
		return err
	}
	for _, b := range view.V1 {
		fd, err := cloneAt(unix.AT_FDCWD, b.Path, false)
		if err != nil {
			return fmt.Errorf("%s: %w", b.Path, err)
		}
		if err := w.bind(fd, "/sys/fs/cgroup/"+b.Name, false, uint64(attr), false); err != nil {
			return err
		}
	}
	if w.c.Insecure {
		return nil
	}
	return changeAttr(top, rdonly)
}

// changeAttr changes an attached mount.
func changeAttr(fd int, attr uint64) error {
	err := setAttr(fd, attr, false)
	if err == errOldKernel {
		err = remount(fd, attr)
	}
	return err
}

func (w *world) mountFiles() error {
	for _, name := range []string{"resolv.conf", "hosts"} {
		fd, err := cloneAt(w.stage, name, false)
		if err != nil {
			return err
		}
		if err := w.bind(fd, "/etc/"+name, true, fileAttr(w.c.OwnFiles), false); err != nil {
			return err
		}
	}
	for i, f := range w.c.Files {
		name := "file" + strconv.Itoa(i)
		if err := writeFile(w.stage, name, f.Data); err != nil {
			return err
		}
		fd, err := cloneAt(w.stage, name, false)
		if err != nil {
			return err
		}
		if err := w.bind(fd, f.Target, true, fileAttr(f.Writable), false); err != nil {
			return err
		}
	}
	return nil
}

// fileAttr is how a file of ours is mounted.
func fileAttr(writable bool) uint64 {
	attr := nosuid | nodev | noexec
	if !writable {
		attr |= rdonly
	}
	return uint64(attr)
}

// ProcAdvice is what to do where no proc can be mounted.
const ProcAdvice = "the isolation grade shared-proc works here (--isolation=shared-proc)"

// system opens a path of our own proc or sysfs; -1 when it is not there.
// What is opened is of the file system just mounted, not of one put over it.
func (w *world) system(name string) (int, error) {
	fs, rest := -1, ""
	for prefix, fd := range map[string]int{"/proc/": w.proc, "/sys/": w.sys} {
		if r, ok := strings.CutPrefix(name, prefix); ok {
			fs, rest = fd, r
		}
	}
	if fs < 0 {
		return -1, fmt.Errorf("%s is neither in /proc nor in /sys", name)
	}
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_SYMLINKS,
	}
	if !w.c.Rootless && !w.c.SharedProc {
		how.Resolve |= unix.RESOLVE_NO_XDEV
	}
	fd, err := unix.Openat2(fs, rest, &how)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return -1, nil
	}
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", name, err)
	}
	return fd, nil
}

// mask hides paths: a directory behind an empty read-only tmpfs, anything
// else behind /dev/null.
func (w *world) mask() error {
	empty := -1
	for _, name := range w.c.Masked {
		fd, err := w.system(name)
		if err != nil {
			return err
		}
		if fd < 0 {
			continue
		}
		if err := w.maskOne(fd, &empty); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		unix.Close(fd)
	}
	return nil
}

// maskOne uses one empty tmpfs for all directories: *empty, once it is attached.
func (w *world) maskOne(target int, empty *int) error {
	var st unix.Stat_t
	if err := unix.Fstat(target, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		null, err := w.null()
		if err != nil {
			return err
		}
		return attach(null, target)
	}
	if *empty < 0 {
		fd, err := newFS("tmpfs", rdonly, "ro")
		if err != nil {
			return err
		}
		*empty = fd
		return attach(fd, target)
	}
	fd, err := cloneAt(*empty, "", false)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return attach(fd, target)
}

// null is a bind mount of our own /dev/null, checked to be it.
func (w *world) null() (int, error) {
	fd, err := cloneAt(w.dev, "null", false)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		return -1, errors.New("/dev/null is not the null device")
	}
	return fd, nil
}

// sysctls sets kernel parameters of the sandbox's own namespaces.
func (w *world) sysctls() error {
	for _, name := range slices.Sorted(maps.Keys(w.c.Sysctls)) {
		fd, err := w.system("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
		if err == nil && fd < 0 {
			err = unix.ENOENT
		}
		if err == nil {
			err = os.WriteFile(procPath(fd), []byte(w.c.Sysctls[name]), 0)
			unix.Close(fd)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// protect makes paths of proc read-only.
func (w *world) protect() error {
	for _, name := range w.c.Readonly {
		target, err := w.system(name)
		if err != nil {
			return err
		}
		if target < 0 {
			continue
		}
		fd, err := cloneAt(target, "", true)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		serr := setAttr(fd, rdonly, true)
		if serr != nil && serr != errOldKernel {
			return fmt.Errorf("%s: %w", name, serr)
		}
		if err := attach(fd, target); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if serr == errOldKernel {
			if err := remount(fd, rdonly); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		unix.Close(fd)
		unix.Close(target)
	}
	return nil
}
