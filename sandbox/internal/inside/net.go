//go:build linux

package inside

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setupNet brings up the interfaces of the sandbox's own network namespace.
func setupNet(n *Net) error {
	if n.NS != 0 {
		if err := unix.Setns(n.NS, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return nil
	}
	if !n.Private {
		return nil
	}
	return linkUp("lo")
}

// linkUp sets the interface's up flag.
func linkUp(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(ifr))); e != 0 {
		return fmt.Errorf("bring %s up: %w", name, e)
	}
	return nil
}
