//go:build linux

package inside

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// defaultPath is where commands are looked up when Env has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// execute replaces this process. The command is looked up with the user's own
// rights, in the sandbox.
func execute(c *Config) error {
	path, err := lookPath(c)
	if err != nil {
		return err
	}
	env := c.Env
	if !c.HasHome {
		env = append(env, "HOME="+c.Home)
	}
	if !parentLives() {
		return errors.New("the parent is gone")
	}
	unix.Write(controlFD, []byte{MsgReady})
	if c.Init != 0 {
		// All threads go with execve, and with them what privileges they have left.
		err := execAt(c.Init, append([]string{InitArg0, path}, c.Args...), env)
		if errors.Is(err, unix.ENOENT) {
			return errors.New("exec init: this mica is not linked statically, which --init needs")
		}
		return fmt.Errorf("exec init: %w", err)
	}
	err = syscall.Exec(path, c.Args, env)
	code := byte(126)
	if errors.Is(err, unix.ENOENT) { // no interpreter
		code = 127
	}
	return &exitCode{code, fmt.Errorf("exec %s: %w", c.Args[0], err)}
}

// execAt is execve(2) of an open file.
func execAt(fd int, args, env []string) error {
	argv, err := syscall.SlicePtrFromStrings(args)
	if err != nil {
		return err
	}
	envv, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	empty := [1]byte{}
	_, _, e := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])), unix.AT_EMPTY_PATH, 0)
	return e
}

func lookPath(c *Config) (string, error) {
	name := c.Args[0]
	if strings.Contains(name, "/") {
		return name, executable(name)
	}
	search := defaultPath
	for _, kv := range c.Env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			search = v
		}
	}
	var denied error
	for _, dir := range strings.Split(search, ":") {
		if dir == "" {
			dir = "."
		}
		path := dir + "/" + name
		err := executable(path)
		if err == nil {
			return path, nil
		}
		if errors.Is(err, unix.EACCES) {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", &exitCode{127, fmt.Errorf("exec %s: executable file not found in $PATH", name)}
}

// executable says why path cannot be executed.
func executable(path string) error {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	switch {
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR):
		return &exitCode{127, fmt.Errorf("exec %s: %w", path, err)}
	case err != nil:
		return &exitCode{126, fmt.Errorf("exec %s: %w", path, err)}
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return &exitCode{126, fmt.Errorf("exec %s: is a directory: %w", path, unix.EACCES)}
	}
	if err := unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS); err != nil {
		if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil // execve will tell
		}
		return &exitCode{126, fmt.Errorf("exec %s: %w", path, err)}
	}
	return nil
}

// parentLives asks the control socket: a change of user clears the parent death
// signal, and the parent may have died before it was set again.
func parentLives() bool {
	p := []unix.PollFd{{Fd: controlFD}}
	n, err := unix.Poll(p, 0)
	return err != nil || n == 0 || p[0].Revents&(unix.POLLHUP|unix.POLLERR) == 0
}
