//go:build linux

package monitor

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox"
)

// pair is a connection within this process.
func pair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c.(*net.UnixConn)
		t.Cleanup(func() { c.Close() })
	}
	return conns[0], conns[1]
}

// TestFrames sends frames, with a file beside one of them.
func TestFrames(t *testing.T) {
	a, b := pair(t)
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("in the file"); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("x"), maxFrame)
	go func() {
		_ = send(a, frameStdout, big)
		_ = send(a, frameReply, []byte("with a file"), f)
		_ = send(a, frameStdin, nil)
	}()
	in := &filing{c: b}
	defer in.close()
	for _, want := range []struct {
		kind byte
		text []byte
	}{{frameStdout, big}, {frameReply, []byte("with a file")}, {frameStdin, nil}} {
		kind, text, err := receive(in)
		if err != nil || kind != want.kind || !bytes.Equal(text, want.text) {
			t.Fatalf("%c, %d bytes, %v", kind, len(text), err)
		}
	}
	if len(in.files) != 1 {
		t.Fatalf("%d files came", len(in.files))
	}
	if got, err := io.ReadAll(io.NewSectionReader(in.files[0], 0, 100)); err != nil || string(got) != "in the file" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestReplyErrors(t *testing.T) {
	for _, err := range []error{errs.ErrNotFound, errs.ErrConflict, errs.ErrInvalid, errs.ErrUnsupported, os.ErrProcessDone} {
		r := Failed(err)
		if !errors.Is(r.Err(), err) || r.Err().Error() != err.Error() {
			t.Errorf("%v became %v", err, r.Err())
		}
	}
	r := Failed(&sandbox.ExitError{Code: 127, Err: errors.New("not there")})
	var m *Error
	if !errors.As(r.Err(), &m) || m.Code != 127 || m.Text != "not there" {
		t.Errorf("%+v", r)
	}
	if r := Failed(nil); r.Err() != nil {
		t.Error(r.Err())
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte{frameStdout, 1, 0, 0, 0, 'x'})
	f.Add([]byte{frameRequest, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bytes.NewReader(raw)
		for {
			_, payload, err := receive(r)
			if err != nil {
				return
			}
			if len(payload) > len(raw) {
				t.Fatal("more came than was sent")
			}
		}
	})
}
