//go:build linux

package safepath

import (
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is the kernel's MAXSYMLINKS.
const maxLinks = 40

// walker resolves a path component by component. It keeps the directories it
// came through open, so that ".." never asks the file system.
type walker struct {
	root  int
	stack []int // opened directories below root
	rest  []string
	links int
	// mkdir, if not nil, makes a missing directory.
	mkdir func(dir int, name string) error
}

func (w *walker) dir() int {
	if len(w.stack) == 0 {
		return w.root
	}
	return w.stack[len(w.stack)-1]
}

func (w *walker) close() {
	for _, fd := range w.stack {
		unix.Close(fd)
	}
	w.stack = nil
}

// push puts a path in front of what is left to resolve.
func (w *walker) push(path string) error {
	switch {
	case strings.IndexByte(path, 0) >= 0:
		return unix.EINVAL
	case len(path) >= unix.PathMax:
		return unix.ENAMETOOLONG
	}
	if strings.HasPrefix(path, "/") {
		w.close()
	}
	w.rest = append(strings.Split(path, "/"), w.rest...)
	return nil
}

// next takes one component; more says whether anything but slashes follows.
func (w *walker) next() (name string, more bool) {
	name, w.rest = w.rest[0], w.rest[1:]
	for _, s := range w.rest {
		if s != "" {
			return name, true
		}
	}
	return name, false
}

// step handles one component that must lead to a directory.
func (w *walker) step(name string) error {
	switch name {
	case "", ".":
		return nil
	case "..":
		if n := len(w.stack); n > 0 {
			unix.Close(w.stack[n-1])
			w.stack = w.stack[:n-1]
		}
		return nil
	}
	fd, err := openat(w.dir(), name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err == unix.ENOENT && w.mkdir != nil {
		if err = w.mkdir(w.dir(), name); err == nil {
			fd, err = openat(w.dir(), name, unix.O_PATH|unix.O_NOFOLLOW, 0)
		}
	}
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		w.stack = append(w.stack, fd)
		return nil
	case unix.S_IFLNK:
		defer unix.Close(fd)
		return w.follow(fd)
	}
	unix.Close(fd)
	return unix.ENOTDIR
}

// follow continues at the target of the symbolic link open at fd.
func (w *walker) follow(fd int) error {
	if w.links++; w.links > maxLinks {
		return unix.ELOOP
	}
	target, err := readlinkat(fd, "")
	if err != nil {
		return err
	}
	return w.push(target)
}

// walkOpen is openat2 in user space.
func walkOpen(root int, path string, flags int, mode uint32) (int, error) {
	w := &walker{root: root}
	defer w.close()
	if err := w.push(path); err != nil {
		return -1, err
	}
	for {
		name, more := w.next()
		switch {
		case !more && name != "" && name != "." && name != "..":
			slash := len(w.rest) > 0 // only slashes are left: it has to be a directory
			fd, again, err := w.last(name, slash, flags, mode)
			if !again {
				return fd, err
			}
		case !more:
			if err := w.step(name); err != nil {
				return -1, err
			}
			return w.openDir(flags, mode)
		default:
			if err := w.step(name); err != nil {
				return -1, err
			}
		}
	}
}

// openDir opens the directory the walk has come to.
func (w *walker) openDir(flags int, mode uint32) (int, error) {
	switch {
	case flags&unix.O_CREAT == 0:
		return openat(w.dir(), ".", flags, mode)
	case flags&unix.O_EXCL != 0:
		return -1, unix.EEXIST
	}
	return -1, unix.EISDIR
}

// last opens the final component; again says that it was a symbolic link which
// is now in front of the walk.
func (w *walker) last(name string, slash bool, flags int, mode uint32) (fd int, again bool, err error) {
	if slash {
		if flags&unix.O_CREAT != 0 {
			return -1, false, unix.EISDIR
		}
		flags |= unix.O_DIRECTORY
	}
	if flags&unix.O_NOFOLLOW != 0 && !slash || flags&(unix.O_CREAT|unix.O_EXCL) == unix.O_CREAT|unix.O_EXCL {
		fd, err = openat(w.dir(), name, flags|unix.O_NOFOLLOW, mode)
		return fd, false, err
	}
	link, err := openat(w.dir(), name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err == nil {
		defer unix.Close(link)
		var st unix.Stat_t
		if err := unix.Fstat(link, &st); err != nil {
			return -1, false, err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			err := w.follow(link)
			if err == nil && slash {
				w.rest = append(w.rest, "") // keeps asking for a directory
			}
			return -1, err == nil, err
		}
	} else if err != unix.ENOENT {
		return -1, false, err
	}
	fd, err = openat(w.dir(), name, flags|unix.O_NOFOLLOW, mode)
	return fd, false, err
}

func openat(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func readlinkat(dir int, name string) (string, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(dir, name, buf)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}
