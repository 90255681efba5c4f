//go:build linux

package sandbox

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/sandbox/internal/inside"
)

// controlPair is the socket over which a sandbox gets its configuration and
// says how starting went.
func controlPair() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("control socket: %w", err)
	}
	f := os.NewFile(uintptr(fds[0]), "control")
	theirs = os.NewFile(uintptr(fds[1]), "control")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("control socket: %w", err)
	}
	return c.(*net.UnixConn), theirs, nil
}

// converse finishes what needs the process, tells it its configuration and
// listens until it has become the command.
func (l *launch) converse(c *net.UnixConn) error {
	stop := context.AfterFunc(l.p.ctx, func() { l.p.proc.Kill() })
	defer stop()
	err := l.joinGroup()
	if err == nil {
		err = l.tell(c)
	}
	if err == nil {
		err = l.listen(c)
	}
	var x *ExitError
	if err == nil || errors.As(err, &x) {
		return err
	}
	if cause := context.Cause(l.p.ctx); cause != nil {
		return fmt.Errorf("run %s: process killed: %w", l.s.Args[0], cause)
	}
	return fmt.Errorf("run %s: %w", l.s.Args[0], err)
}

func (l *launch) tell(c *net.UnixConn) error {
	data, err := json.Marshal(&l.config)
	if err != nil {
		return err
	}
	size := binary.LittleEndian.AppendUint32(nil, uint32(len(data)))
	if _, err := c.Write(append(size, data...)); err != nil && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("configure sandbox: %w", err)
	}
	return nil
}

// listen reads messages until the socket closes, which execve does.
func (l *launch) listen(c *net.UnixConn) error {
	buf, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	ready := false
	for {
		n, oobn, _, _, err := c.ReadMsgUnix(buf, oob)
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || (err == nil && n == 0) {
			break
		}
		if err != nil {
			return fmt.Errorf("listen to sandbox: %w", err)
		}
		// A read ends after a message that carries descriptors.
		for i, kind := range buf[:n] {
			switch kind {
			case inside.MsgError:
				rest, _ := io.ReadAll(c)
				return startError(append(buf[i:n:n], rest...))
			case inside.MsgTTY:
				err = l.openTerminal(oob[:oobn])
			case inside.MsgReady:
				ready = true
			}
			if err != nil {
				return err
			}
		}
	}
	if !ready {
		return errors.New("the sandbox died while it was set up")
	}
	return nil
}

func startError(msg []byte) error {
	if len(msg) < 2 {
		return errors.New("set up sandbox: unknown error")
	}
	text := errors.New(string(msg[2:]))
	if code := int(msg[1]); code != 0 {
		return &ExitError{Code: code, Err: text}
	}
	return fmt.Errorf("set up sandbox: %w", text)
}

// openTerminal takes the terminal that the sandbox has opened from a control
// message and connects it.
func (l *launch) openTerminal(oob []byte) error {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	if len(msgs) != 1 {
		return fmt.Errorf("terminal: %d messages instead of one", len(msgs))
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return fmt.Errorf("terminal: %d descriptors instead of one: %w", len(fds), err)
	}
	unix.CloseOnExec(fds[0])
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	l.p.master = os.NewFile(uintptr(fds[0]), "terminal")
	if l.s.KeepTerminal {
		return nil
	}
	l.p.stdio.terminal(l.p.master, l.s)
	return nil
}
