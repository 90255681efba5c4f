//go:build linux

package monitor

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
)

// Dial connects to the monitor of a container. One that has none is errs.ErrConflict.
func Dial(ctx context.Context, c *record.Container) (*Conn, error) {
	// A socket's path may be no longer than 107 bytes; the store's may.
	dir, err := os.OpenFile(c.Dir(), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", c.Name, err)
	}
	defer dir.Close()
	var d net.Dialer
	n, err := d.DialContext(ctx, "unix", "/proc/self/fd/"+strconv.Itoa(int(dir.Fd()))+"/"+record.SocketName)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED) {
		return nil, fmt.Errorf("container %s is not running: %w", c.ID, errs.ErrConflict)
	}
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", c.Name, err)
	}
	return &Conn{c: n.(*net.UnixConn)}, nil
}

// A Conn is a connection to a monitor. Its methods but Close are for one goroutine, but
// for those that Copy names.
type Conn struct {
	c  *net.UnixConn
	mu sync.Mutex // of writing
}

// Close ends the connection. A process that was started by it goes on.
func (c *Conn) Close() error { return c.c.Close() }

// Ask sends a request and waits for the reply, with the open files that came with it,
// which the caller closes. The error is the monitor's, or of the connection.
func (c *Conn) Ask(ctx context.Context, q Request, files ...*os.File) (Reply, []*os.File, error) {
	stop := context.AfterFunc(ctx, func() { c.c.Close() })
	defer stop()
	if err := sendJSON(c.c, frameRequest, q, files...); err != nil {
		return Reply{}, nil, c.explain(ctx, err)
	}
	return c.reply(ctx)
}

// reply reads frames until the reply comes.
func (c *Conn) reply(ctx context.Context) (Reply, []*os.File, error) {
	in := &filing{c: c.c}
	for {
		kind, raw, err := receive(in)
		if err != nil {
			in.close()
			return Reply{}, nil, c.explain(ctx, err)
		}
		if kind != frameReply {
			continue
		}
		var r Reply
		if err := json.Unmarshal(raw, &r); err != nil {
			in.close()
			return Reply{}, nil, fmt.Errorf("read reply: %w", err)
		}
		if r.Error != "" {
			in.close()
		}
		return r, in.files, r.Err()
	}
}

// Next waits for one more reply, as Exec with a terminal gives: first the terminal, then
// the end.
func (c *Conn) Next(ctx context.Context) (Reply, error) {
	stop := context.AfterFunc(ctx, func() { c.c.Close() })
	defer stop()
	r, files, err := c.reply(ctx)
	for _, f := range files {
		f.Close()
	}
	return r, err
}

func (c *Conn) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("the process that kept the container is gone: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("talk to the container's monitor: %w", err)
}

// Local is this side of attached streams. Stdin may be nil.
type Local struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Started        func() // called when the container runs; may be nil
}

// Attach connects l to the container until it ends, and gives its exit code. Resize and
// Kill may be called meanwhile from other goroutines.
func (c *Conn) Attach(ctx context.Context, s Streams, l Local) (Reply, error) {
	stop := context.AfterFunc(ctx, func() { c.c.Close() })
	defer stop()
	s.Stdin = s.Stdin && l.Stdin != nil
	if err := sendJSON(c.c, frameRequest, Request{Op: Attach, Attach: &s}); err != nil {
		return Reply{}, c.explain(ctx, err)
	}
	if s.Stdin {
		go c.feed(l.Stdin)
	}
	for {
		kind, raw, err := receive(c.c)
		if err != nil {
			return Reply{}, c.explain(ctx, err)
		}
		switch kind {
		case frameStdout:
			_, err = l.Stdout.Write(raw)
		case frameStderr:
			_, err = l.Stderr.Write(raw)
		case frameStarted:
			if l.Started != nil {
				l.Started()
			}
		case frameReply:
			var r Reply
			if err := json.Unmarshal(raw, &r); err != nil {
				return r, fmt.Errorf("read reply: %w", err)
			}
			return r, r.Err()
		}
		if err != nil {
			return Reply{}, fmt.Errorf("write output: %w", err)
		}
	}
}

// feed sends what r has, and its end.
func (c *Conn) feed(r io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 && c.write(frameStdin, buf[:n]) != nil {
			return
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				_ = c.write(frameStdin, nil)
			}
			return
		}
	}
}

func (c *Conn) write(kind byte, p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return send(c.c, kind, p)
}

// Resize tells the container's terminal its size.
func (c *Conn) Resize(rows, cols uint16) error {
	return c.write(frameResize, binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, rows), cols))
}

// Kill sends a signal to the container's first process.
func (c *Conn) Kill(sig unix.Signal) error { return c.write(frameSignal, []byte{byte(sig)}) }
