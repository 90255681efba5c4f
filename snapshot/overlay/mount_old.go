//go:build linux

package overlay

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountOld makes the mount with mount(2), for kernels without lowerdir+.
//
// mount(2) takes one page of options. A thread with a mount namespace and a
// working directory of its own opens the layers, changes to /proc/self/fd and so
// names each layer by a number. What it mounts is visible to nobody else and goes
// with the thread; the detached clone it returns stays.
func (s *stack) mountOld() (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result, 1)
	onOwnThread(func() {
		f, err := s.mountPrivately()
		done <- result{f, err}
	})
	r := <-done
	return r.f, r.err
}

// onOwnThread runs f on an operating system thread that ends with it and is not
// the process's first one, whose namespaces /proc/self shows.
func onOwnThread(f func()) {
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime ends the thread
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		done := make(chan struct{})
		onOwnThread(func() { defer close(done); f() })
		<-done // keeps the first thread busy meanwhile
		runtime.UnlockOSThread()
	}()
}

func (s *stack) mountPrivately() (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return nil, fmt.Errorf("unshare mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	data, closeDirs, err := s.options()
	defer closeDirs()
	if err != nil {
		return nil, err
	}
	if len(data) >= os.Getpagesize() {
		return nil, fmt.Errorf("options of %d bytes are more than mount(2) takes; squash some layers", len(data))
	}
	if err := unix.Chdir("/proc/self/fd"); err != nil {
		return nil, fmt.Errorf("chdir /proc/self/fd: %w", err)
	}
	target, flags := s.lower[0], uintptr(0)
	if s.upper == "" {
		flags = unix.MS_RDONLY
	}
	if err := unix.Mount("overlay", target, "overlay", flags, data); err != nil {
		return nil, fmt.Errorf("mount(2) with %s: %w", data, err)
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, target, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open_tree: %w", err)
	}
	return os.NewFile(uintptr(fd), "overlay"), nil
}

// options opens all directories and gives the option string that names them by
// their descriptors, relative to /proc/self/fd.
func (s *stack) options() (data string, closeDirs func(), err error) {
	var open []*os.File
	closeDirs = func() {
		for _, f := range open {
			f.Close()
		}
	}
	number := func(dir string) string {
		f, oerr := openPath(dir)
		if oerr != nil {
			if err == nil {
				err = oerr
			}
			return ""
		}
		open = append(open, f)
		return strconv.Itoa(int(f.Fd()))
	}
	lower := make([]string, 0, len(s.lower))
	for _, dir := range slices.Backward(s.lower) {
		lower = append(lower, number(dir))
	}
	o := append(s.settings(), "lowerdir="+strings.Join(lower, ":"))
	if s.upper != "" {
		o = append(o, "upperdir="+number(s.upper), "workdir="+number(s.work))
	}
	return strings.Join(o, ","), closeDirs, err
}
