//go:build linux

package sandbox

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mica-build/mica/internal/testenv"
)

func TestMain(m *testing.M) {
	Init()
	os.Exit(m.Run())
}

// rootfs makes a root filesystem of busybox alone.
func rootfs(t testing.TB) string {
	t.Helper()
	testenv.Root(t)
	box := testenv.Busybox(t)
	dir := t.TempDir()
	for _, d := range []string{"bin", "etc", "root", "tmp", "home/bob"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.Chmod(filepath.Join(dir, "tmp"), 0o1777)
	data, err := os.ReadFile(box)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/busybox"), data, 0o755); err != nil {
		t.Fatal(err)
	}
	list, err := exec.Command(box, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq(string(list)) {
		if name != "busybox" {
			os.Symlink("busybox", filepath.Join(dir, "bin", name))
		}
	}
	write(t, dir, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1001::/home/bob:/bin/sh\nnogrp:x:1002:4242::/:/bin/sh\n")
	write(t, dir, "etc/group", "root:x:0:\nbob:x:1001:\naudio:x:29:bob\nvideo:x:44:bob,root\n")
	return dir
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func openDir(t testing.TB, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// result is what a sandboxed command gave.
type result struct {
	out, err string
	failure  error
}

// run runs a shell script in dir with the changes that edit makes.
func run(t testing.TB, dir, script string, edit func(*Spec)) result {
	t.Helper()
	var out, errOut bytes.Buffer
	s := &Spec{
		Root: openDir(t, dir), Args: []string{"/bin/sh", "-c", script},
		Env: []string{"PATH=/bin"}, Network: None, Stdout: &out, Stderr: &errOut,
	}
	if edit != nil {
		edit(s)
	}
	r := &Runner{StateDir: t.TempDir()}
	err := r.Run(t.Context(), s)
	return result{out.String(), errOut.String(), err}
}

func TestRun(t *testing.T) {
	dir := rootfs(t)
	for _, tt := range []struct {
		name, script, want string
		edit               func(*Spec)
	}{
		{name: "output", script: "echo hello", want: "hello\n"},
		{name: "hostname", script: "hostname", want: "buildkitsandbox\n"},
		{name: "own hostname", script: "hostname; grep -o lab.* /etc/hosts", want: "lab\nlab\n", edit: func(s *Spec) { s.Hostname = "lab" }},
		{name: "pid 1", script: "echo $$", want: "1\n"},
		{name: "umask", script: "umask", want: "0022\n"},
		{name: "home", script: "echo $HOME", want: "/root\n"},
		{name: "empty home", script: "echo $HOME", want: "/root\n", edit: func(s *Spec) { s.Env = append(s.Env, "HOME=") }},
		{name: "home of a user", script: "echo $HOME; id", want: "/home/bob\nuid=1000(bob) gid=1001(bob) groups=29(audio),44(video),1001(bob)\n", edit: func(s *Spec) { s.User = "bob" }},
		{name: "directory", script: "pwd", want: "/tmp\n", edit: func(s *Spec) { s.Dir = "/tmp" }},
		{name: "stdin", script: "cat", want: "from outside", edit: func(s *Spec) { s.Stdin = strings.NewReader("from outside") }},
		{name: "no stdin", script: "cat; echo end", want: "end\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, dir, tt.script, tt.edit)
			if got.failure != nil || got.out != tt.want {
				t.Errorf("got %q, stderr %q, error %v, want %q", got.out, got.err, got.failure, tt.want)
			}
		})
	}
}
