//go:build linux

package inside

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// terminal opens a terminal and shows it as /dev/console.
func (w *world) terminal() error {
	if !w.c.Terminal {
		return nil
	}
	n, err := w.openTerminal()
	if err != nil {
		return err
	}
	if err := w.console(n); err != nil {
		return fmt.Errorf("/dev/console: %w", err)
	}
	return nil
}

// openTerminal opens a pseudo-terminal of the sandbox's own devpts, makes it the
// standard streams and the controlling terminal, and sends the other end to the parent.
// It gives its number.
func (w *world) openTerminal() (number uint32, err error) {
	master, err := unix.Openat(w.dev, "pts/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open ptmx: %w", err)
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return 0, fmt.Errorf("unlock terminal: %w", err)
	}
	n, err := unix.IoctlGetUint32(master, unix.TIOCGPTN)
	if err != nil {
		return 0, fmt.Errorf("terminal number: %w", err)
	}
	slave, err := unix.Openat(w.dev, "pts/"+strconv.FormatUint(uint64(n), 10), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open terminal: %w", err)
	}
	if w.c.Rows != 0 && w.c.Cols != 0 {
		size := &unix.Winsize{Row: w.c.Rows, Col: w.c.Cols}
		if err := unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, size); err != nil {
			return 0, fmt.Errorf("size terminal: %w", err)
		}
	}
	if err := unix.Fchown(slave, int(w.c.UID), -1); err != nil {
		return 0, fmt.Errorf("give terminal to user %d: %w", w.c.UID, err)
	}
	if err := unix.IoctlSetInt(slave, unix.TIOCSCTTY, 0); err != nil {
		return 0, fmt.Errorf("set controlling terminal: %w", err)
	}
	for fd := range 3 {
		if err := unix.Dup3(slave, fd, 0); err != nil {
			return 0, fmt.Errorf("set stream %d: %w", fd, err)
		}
	}
	return n, unix.Sendmsg(controlFD, []byte{MsgTTY}, unix.UnixRights(master), nil, 0)
}

func (w *world) console(n uint32) error {
	if err := writeFile(w.dev, "console", nil); err != nil {
		return err
	}
	fd, err := cloneAt(w.dev, "pts/"+strconv.FormatUint(uint64(n), 10), false)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return attachAt(fd, w.dev, "console")
}
