//go:build linux

package inside

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setupNet enters a prepared network namespace, or brings up the loopback of
// the one that the sandbox was started in.
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
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(ifr))); e != 0 {
		return fmt.Errorf("bring lo up: %w", e)
	}
	return nil
}
