//go:build linux

package sandbox

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mica-build/mica/errs"
)

func TestExit(t *testing.T) {
	dir := rootfs(t)
	write(t, dir, "bin/data", "not a program")
	write(t, dir, "bin/lost", "#!/no/such/shell\n")
	os.Chmod(filepath.Join(dir, "bin/lost"), 0o755)
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string // in the error
	}{
		{"code", []string{"/bin/sh", "-c", "exit 3"}, 3, "exit code 3"},
		{"signal", []string{"/bin/sh", "-c", "sh -c 'kill -9 $$'; exit $?"}, 137, "exit code 137"},
		{"not found in PATH", []string{"nosuch"}, 127, "exec nosuch: executable file not found in $PATH"},
		{"not found", []string{"/bin/nosuch"}, 127, "exec /bin/nosuch: no such file or directory"},
		{"not executable", []string{"/bin/data"}, 126, "exec /bin/data: permission denied"},
		{"directory", []string{"/bin"}, 126, "is a directory"},
		{"no interpreter", []string{"lost"}, 127, "exec lost: no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, dir, "", func(s *Spec) { s.Args = tt.args })
			var x *ExitError
			if !errors.As(got.failure, &x) || x.Code != tt.code || !strings.Contains(x.Error(), tt.want) {
				t.Errorf("got %v, want code %d and %q", got.failure, tt.code, tt.want)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	dir := rootfs(t)
	for _, tt := range []struct {
		name, want string
		is         error
		edit       func(*Spec)
	}{
		{"user", `no user "nobody"`, errs.ErrNotFound, func(s *Spec) { s.User = "nobody" }},
		{"group", `no group "wheel"`, errs.ErrNotFound, func(s *Spec) { s.User = "bob:wheel" }},
		{"directory", "working directory /nowhere: no such file", nil, func(s *Spec) { s.Dir = "/nowhere" }},
		{"relative directory", "not absolute", errs.ErrInvalid, func(s *Spec) { s.Dir = "tmp" }},
		{"capability", `capability "FLY"`, errs.ErrInvalid, func(s *Spec) { s.CapAdd = []string{"FLY"} }},
		{"ulimit", `ulimit "wings"`, errs.ErrInvalid, func(s *Spec) { s.Ulimits = []Ulimit{{Name: "wings"}} }},
		{"no command", "no command", errs.ErrInvalid, func(s *Spec) { s.Args = nil }},
		{"mount source", "no such file", os.ErrNotExist, func(s *Spec) { s.Mounts = []Mount{{Source: "/no/such", Target: "/x"}} }},
		{"mount over a file", "/etc/passwd: not a directory", nil, func(s *Spec) { s.Mounts = []Mount{{Kind: Tmpfs, Target: "/etc/passwd"}} }},
		{"mount over a directory", "/etc: is a directory", nil, func(s *Spec) { s.Mounts = []Mount{{Source: "/etc/hostname", Target: "/etc"}} }},
		{"host-gateway", "host-gateway needs a network", nil, func(s *Spec) { s.ExtraHosts = []HostIP{{"h", "host-gateway"}} }},
		{"file over directory", "mount /tmp: ", nil, func(s *Spec) { s.Mounts = []Mount{{Source: "/proc/self/exe", Target: "/tmp"}} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, dir, "true", tt.edit)
			var x *ExitError
			if got.failure == nil || errors.As(got.failure, &x) || !strings.Contains(got.failure.Error(), tt.want) {
				t.Fatalf("got %v, want %q", got.failure, tt.want)
			}
			if tt.is != nil && !errors.Is(got.failure, tt.is) {
				t.Errorf("got %v, want it to be %v", got.failure, tt.is)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	dir := rootfs(t)
	ctx, cancel := context.WithCancel(t.Context())
	pr, pw := io.Pipe()
	s := &Spec{
		Root: openDir(t, dir), Env: []string{"PATH=/bin"}, Network: None, Stdout: pw,
		Args: []string{"/bin/sh", "-c", "trap '' TERM INT; sleep 1000 & echo started; wait"},
	}
	done := make(chan error, 1)
	go func() { done <- (&Runner{StateDir: t.TempDir()}).Run(ctx, s) }()
	if _, err := pr.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want it to be canceled", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the process outlives its context")
	}
}
