//go:build linux

package monitor

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox"
	"github.com/mica-build/mica/sandbox/cgroup"
)

// An Op is what is asked of a monitor.
type Op string

// What can be asked.
const (
	Signal  Op = "signal"  // send Request.Signal to the first process
	Stop    Op = "stop"    // stop the container, and do not restart it
	Wait    Op = "wait"    // answer when it has ended
	Exec    Op = "exec"    // start another process
	Attach  Op = "attach"  // connect to its streams
	Pause   Op = "pause"   // freeze all its processes
	Unpause Op = "unpause" // and let them go on
	Usage   Op = "usage"   // what it uses
	PIDs    Op = "pids"    // its processes
	Root    Op = "root"    // its root as its first process sees it, an open file
	Tree    Op = "tree"    // its root filesystem without mounts, an open file
	Update  Op = "update"  // change its limits and restart policy
)

// A Request is one question. Beside Exec travel its standard input, output and error,
// unless it wants a terminal.
type Request struct {
	Op     Op
	Signal int `json:",omitempty"`
	// Timeout is how many seconds Stop waits before it kills; nil is the container's,
	// less than 0 for ever.
	Timeout *int               `json:",omitempty"`
	Exec    *Process           `json:",omitempty"`
	Attach  *Streams           `json:",omitempty"`
	Limits  *sandbox.Resources `json:",omitempty"`
}

// A Process is what Exec starts.
type Process struct {
	Args, Env  []string
	Dir, User  string
	Privileged bool
	Terminal   bool
	Rows, Cols uint16
	Detach     bool // the answer comes when it has been started
}

// Streams say how Attach connects.
type Streams struct {
	Stdin, Stdout, Stderr bool
	Start                 bool // the container, which waits for that
	Rows, Cols            uint16
}

// A Reply is the answer.
type Reply struct {
	Error string       `json:",omitempty"`
	Kind  string       `json:",omitempty"` // which error it matches
	Code  int          // the exit code, for Wait, Exec and Attach
	PIDs  []int        `json:",omitempty"`
	Usage cgroup.Usage `json:",omitzero"`
	Net   NetUsage     `json:",omitzero"`
}

// NetUsage is the traffic of the container's interfaces but lo, in bytes.
type NetUsage struct{ Received, Sent int64 }

// Err is the error that the reply is.
func (r *Reply) Err() error {
	if r.Error == "" {
		return nil
	}
	return &Error{r.Error, r.Kind, r.Code}
}

// An Error is what a monitor says went wrong. It matches an error of package errs, or
// os.ErrProcessDone.
type Error struct {
	Text, Kind string
	Code       int // with which a command that could not be started exits; 0 is none
}

func (e *Error) Error() string { return e.Text }

// Is compares the kind.
func (e *Error) Is(target error) bool { return e.Kind != "" && kinds[e.Kind] == target }

// kinds are the errors that are told apart on the other side.
var kinds = map[string]error{
	"not found": errs.ErrNotFound, "conflict": errs.ErrConflict, "invalid": errs.ErrInvalid,
	"unsupported": errs.ErrUnsupported, "done": os.ErrProcessDone,
}

// Failed is the reply that says err, which may be nil.
func Failed(err error) Reply {
	if err == nil {
		return Reply{}
	}
	r := Reply{Error: err.Error()}
	for kind, target := range kinds {
		if errors.Is(err, target) {
			r.Kind = kind
		}
	}
	var x *sandbox.ExitError
	if errors.As(err, &x) {
		r.Code = x.Code
		if x.Err != nil {
			r.Error = x.Err.Error()
		}
	}
	return r
}

// The kinds of frames.
const (
	frameRequest = 'q'
	frameReply   = 'r'
	frameStdin   = 'i' // empty: its end
	frameStdout  = 'o'
	frameStderr  = 'e'
	frameResize  = 'w' // rows and columns, two bytes each
	frameSignal  = 's' // one byte
	frameStarted = 'b' // the container runs
)

// maxFrame bounds the payload of a frame.
const maxFrame = 1 << 20

// send writes a frame, with open files beside it.
func send(c *net.UnixConn, kind byte, payload []byte, files ...*os.File) error {
	b := make([]byte, 5, 5+len(payload))
	b[0] = kind
	binary.LittleEndian.PutUint32(b[1:], uint32(len(payload)))
	b = append(b, payload...)
	if len(files) == 0 {
		_, err := c.Write(b)
		return err
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	n, _, err := c.WriteMsgUnix(b, unix.UnixRights(fds...), nil)
	if err == nil && n < len(b) {
		_, err = c.Write(b[n:])
	}
	return err
}

func sendJSON(c *net.UnixConn, kind byte, v any, files ...*os.File) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return send(c, kind, raw, files...)
}

// receive reads a frame.
func receive(r io.Reader) (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("frame of %d bytes: %w", n, errs.ErrTooLarge)
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, fmt.Errorf("frame of %d bytes: %w", n, io.ErrUnexpectedEOF)
	}
	return head[0], payload, nil
}

// maxFiles is how many open files travel at once.
const maxFiles = 3

// filing reads a connection and keeps the files that come with it.
type filing struct {
	c     *net.UnixConn
	files []*os.File
}

func (f *filing) Read(p []byte) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oobn, _, _, err := f.c.ReadMsgUnix(p, oob)
	if oobn > 0 {
		msgs, perr := unix.ParseSocketControlMessage(oob[:oobn])
		if perr != nil {
			return n, perr
		}
		for _, m := range msgs {
			fds, perr := unix.ParseUnixRights(&m)
			if perr != nil {
				continue // credentials, say
			}
			for _, fd := range fds {
				unix.CloseOnExec(fd)
				f.files = append(f.files, os.NewFile(uintptr(fd), "passed"))
			}
		}
	}
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

func (f *filing) close() {
	for _, x := range f.files {
		x.Close()
	}
	f.files = nil
}
