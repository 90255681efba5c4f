//go:build linux

package inside

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// join makes this process a command in the world of a sandbox that is there already.
// The parent has put it into the other namespaces.
func join(w *world) error {
	c := w.c
	err := do([]step{
		{"enter mount namespace", w.enterMounts},
		{"enter working directory", func() error { return chdir(c.Dir) }},
		{"set up terminal", w.joinTerminal},
		{"join session keyring", joinKeyring},
		{"set resource limits", func() error { return setRlimits(c.Rlimits) }},
		{"give up privileges", func() error { return dropPrivileges(c) }},
	})
	if err != nil {
		return err
	}
	return execute(c)
}

// enterMounts takes this thread, which is the one that becomes the command, into the
// mount namespace. Threads that share their root directory may not.
func (w *world) enterMounts() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	return unix.Setns(w.c.Enter, unix.CLONE_NEWNS)
}

// joinTerminal opens a terminal of the sandbox's devpts. The container's /dev/console
// stays the one of its first process.
func (w *world) joinTerminal() (err error) {
	if !w.c.Terminal {
		return nil
	}
	if w.dev, err = unix.Open("/dev", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open /dev: %w", err)
	}
	if _, err := w.openTerminal(); err != nil {
		return err
	}
	return nil
}
