//go:build linux

package inside

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// InitArg0 is the argv[0] of the init of a sandbox; the path of the command and its
// arguments follow.
const InitArg0 = "mica-init"

// runInit is process 1 of a sandbox that wants an init: it starts the command, reaps all
// that end, passes signals on, and ends as the command did. It does not return.
func runInit() {
	if len(os.Args) < 3 || os.Args[0] != InitArg0 || os.Getpid() != 1 {
		return
	}
	caught := make(chan os.Signal, 64)
	signal.Notify(caught)
	attr := &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Env: os.Environ()}
	attr.Sys = &syscall.SysProcAttr{Setpgid: true}
	if _, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		attr.Sys.Foreground = true // the terminal's keys are the command's
	}
	p, err := os.StartProcess(os.Args[1], os.Args[2:], attr)
	if err != nil {
		os.Stderr.WriteString("mica: " + err.Error() + "\n")
		os.Exit(127)
	}
	go func() {
		for s := range caught {
			switch s {
			case unix.SIGCHLD, unix.SIGURG, unix.SIGTTOU, unix.SIGTTIN, unix.SIGPIPE:
			default:
				_ = syscall.Kill(p.Pid, s.(syscall.Signal))
			}
		}
	}()
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			os.Exit(1)
		case pid != p.Pid:
		case ws.Signaled():
			os.Exit(128 + int(ws.Signal()))
		case ws.Exited():
			os.Exit(ws.ExitStatus())
		}
	}
}
