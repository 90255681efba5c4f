//go:build linux

package inside

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// nodes are the devices of every sandbox, all mode 0666.
var nodes = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3},
	{"zero", 1, 5},
	{"full", 1, 7},
	{"random", 1, 8},
	{"urandom", 1, 9},
	{"tty", 5, 0},
}

// links are the symbolic links in /dev, besides core where the kernel has it.
var links = []struct{ name, to string }{
	{"ptmx", "pts/ptmx"},
	{"fd", "/proc/self/fd"},
	{"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"},
}

func (w *world) mountDev() (err error) {
	if w.dev, err = newFS("tmpfs", nosuid|unix.MOUNT_ATTR_STRICTATIME, "mode=755", "size=65536k"); err != nil {
		return err
	}
	for _, l := range links {
		if err := unix.Symlinkat(l.to, w.dev, l.name); err != nil {
			return fmt.Errorf("link %s: %w", l.name, err)
		}
	}
	if unix.Faccessat(w.proc, "kcore", unix.F_OK, 0) == nil {
		if err := unix.Symlinkat("/proc/kcore", w.dev, "core"); err != nil {
			return fmt.Errorf("link core: %w", err)
		}
	}
	for _, d := range []string{"pts", "shm", "mqueue"} {
		if err := unix.Mkdirat(w.dev, d, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", d, err)
		}
	}
	if err := w.place(w.dev, "/dev", false); err != nil {
		return err
	}
	if err := w.makeNodes(); err != nil {
		return err
	}
	return w.mountBelowDev()
}

func (w *world) makeNodes() error {
	for _, n := range nodes {
		var err error
		if w.c.Rootless {
			err = w.bindNode(n.name)
		} else {
			err = unix.Mknodat(w.dev, n.name, unix.S_IFCHR|0o666, int(unix.Mkdev(n.major, n.minor)))
		}
		if err != nil {
			return fmt.Errorf("make device %s: %w", n.name, err)
		}
	}
	if w.c.Insecure {
		return w.hostDevices()
	}
	return nil
}

// bindNode shows the host's device: a user namespace cannot open its own.
func (w *world) bindNode(name string) error {
	if err := writeFile(w.dev, name, nil); err != nil {
		return err
	}
	fd, err := cloneAt(unix.AT_FDCWD, "/dev/"+name, false)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return attachAt(fd, w.dev, name)
}

// hostDevices copies the nodes at the top of the host's /dev.
func (w *world) hostDevices() error {
	entries, err := os.ReadDir("/dev")
	if err != nil {
		return fmt.Errorf("list host devices: %w", err)
	}
	for _, e := range entries {
		if e.Type()&os.ModeDevice == 0 {
			continue
		}
		var st unix.Stat_t
		if err := unix.Lstat("/dev/"+e.Name(), &st); err != nil {
			continue // unplugged meanwhile
		}
		err := error(nil)
		if w.c.Rootless {
			err = w.bindNode(e.Name())
		} else {
			err = unix.Mknodat(w.dev, e.Name(), st.Mode, int(st.Rdev))
			if err == nil {
				err = unix.Fchownat(w.dev, e.Name(), int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW)
			}
		}
		if err != nil && err != unix.EEXIST {
			return fmt.Errorf("make device %s: %w", e.Name(), err)
		}
	}
	return nil
}

func (w *world) mountBelowDev() error {
	pts := []string{"newinstance", "ptmxmode=0666", "mode=0620"}
	if !w.c.SingleID { // there the group tty is not mapped
		pts = append(pts, "gid=5")
	}
	for _, m := range []struct {
		name, fstype string
		attr         int
		options      []string
	}{
		{"pts", "devpts", nosuid | noexec, pts},
		{"shm", "tmpfs", nosuid | noexec | nodev, []string{"mode=1777", "size=" + strconv.FormatInt(w.c.ShmSize, 10)}},
		{"mqueue", "mqueue", nosuid | noexec | nodev, nil},
	} {
		fd, err := newFS(m.fstype, m.attr, m.options...)
		if err != nil {
			return err
		}
		if err := attachAt(fd, w.dev, m.name); err != nil {
			return err
		}
		unix.Close(fd)
	}
	return nil
}
