//go:build linux

package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// running starts a sandbox that says when it is up and then does nothing.
func running(t *testing.T, dir string, edit func(*Spec)) *Process {
	t.Helper()
	r, w := io.Pipe()
	s := &Spec{
		Root: openDir(t, dir), Args: []string{"/bin/sh", "-c", "echo up; exec sleep 1000"},
		Env: []string{"PATH=/bin"}, Network: None, Stdout: w, Hostname: "box", Container: true,
	}
	if edit != nil {
		edit(s)
	}
	runner := &Runner{StateDir: t.TempDir()}
	p, err := runner.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Signal(unix.SIGKILL)
		_ = p.Wait()
		_ = runner.Close()
	})
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("%q, %v", line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return p
}

func TestEnter(t *testing.T) {
	p := running(t, rootfs(t), func(s *Spec) { s.Mounts = []Mount{{Kind: Tmpfs, Target: "/tmpfs"}} })
	for _, tt := range []struct {
		name, script, want string
		edit               func(*Spec)
	}{
		{name: "namespaces", script: "hostname; cat /proc/1/cmdline | tr '\\0' ' '; grep -c /tmpfs /proc/mounts", want: "box\nsleep 1000 1\n"},
		{name: "capabilities", script: "grep -e CapEff -e Seccomp: /proc/self/status | tr -d '\\t\\n'", want: "CapEff:00000000a80425fbSeccomp:2"},
		{
			name: "privileged", script: "grep -e Seccomp: /proc/self/status", want: "Seccomp:\t0\n",
			edit: func(s *Spec) { s.Insecure = true },
		},
		{
			name: "user", script: "id; pwd; echo $HOME", want: "uid=1000(bob) gid=1001(bob) groups=29(audio),44(video),1001(bob)\n/tmp\n/home/bob\n",
			edit: func(s *Spec) { s.User, s.Dir = "bob", "/tmp" },
		},
		{name: "input", script: "cat", want: "text", edit: func(s *Spec) { s.Stdin = strings.NewReader("text") }},
		{name: "terminal", script: "tty; test -t 0 && stty size", want: "/dev/pts/0\r\n30 100\r\n", edit: func(s *Spec) { s.Terminal, s.Rows, s.Cols = true, 30, 100 }},
		{name: "the same groups", script: "cmp /proc/self/cgroup /proc/1/cgroup && echo same", want: "same\n"},
	} {
		var out, errOut bytes.Buffer
		s := &Spec{Args: []string{"/bin/sh", "-c", tt.script}, Env: []string{"PATH=/bin"}, Stdout: &out, Stderr: &errOut}
		if tt.edit != nil {
			tt.edit(s)
		}
		e, err := p.Enter(t.Context(), s)
		if err == nil {
			err = e.Wait()
		}
		if err != nil || out.String() != tt.want {
			t.Errorf("%s: got %q, stderr %q, error %v, want %q", tt.name, out.String(), errOut.String(), err, tt.want)
		}
	}
}

func TestEnterFails(t *testing.T) {
	p := running(t, rootfs(t), nil)
	enter := func(ctx context.Context, args ...string) error {
		e, err := p.Enter(ctx, &Spec{Args: args})
		if err != nil {
			return err
		}
		return e.Wait()
	}
	for _, tt := range []struct {
		args []string
		code int
	}{{[]string{"nothing"}, 127}, {[]string{"/etc/passwd"}, 126}, {[]string{"/bin/sh", "-c", "exit 7"}, 7}, {[]string{"/bin/sh", "-c", "kill -9 $$"}, 137}} {
		var x *ExitError
		if err := enter(t.Context(), tt.args...); !errors.As(err, &x) || x.Code != tt.code {
			t.Errorf("%q: %v, want code %d", tt.args, err, tt.code)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	e, err := p.Enter(ctx, &Spec{Args: []string{"/bin/sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := e.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// It ends with the sandbox.
	if e, err = p.Enter(t.Context(), &Spec{Args: []string{"/bin/sleep", "1000"}}); err != nil {
		t.Fatal(err)
	}
	_ = p.Signal(unix.SIGKILL)
	if err := e.Wait(); err == nil {
		t.Error("it outlived the sandbox")
	}
	_ = p.Wait()
	if err := enter(t.Context(), "/bin/true"); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a sandbox that has ended: %v", err)
	}
}
