//go:build linux

package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// marks is what a sandbox with this hostname has left: processes in its
// namespaces, mounts of its root, cgroups of its maker, files open here.
func marks(t testing.TB, hostname, root string, maker int) []string {
	t.Helper()
	var found []string
	procs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, p := range procs {
		if data, err := os.ReadFile(p); err == nil && bytes.Contains(data, []byte("MICA_TEST="+hostname)) {
			found = append(found, "process "+p)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(mounts, []byte(root)) {
		found = append(found, "mount of "+root)
	}
	filepath.WalkDir("/sys/fs/cgroup", func(p string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), fmt.Sprint(maker, "-")) {
			found = append(found, "cgroup "+p)
		}
		return nil
	})
	return found
}

// link is the host's end of the interface whose sandbox printed iflink.
func link(t testing.TB, iflink string) []string {
	t.Helper()
	index, err := strconv.Atoi(strings.TrimSpace(iflink))
	if err != nil {
		t.Fatal(err)
	}
	if i, err := net.InterfaceByIndex(index); err == nil {
		return []string{i.Name}
	}
	return nil
}

// eventually waits until check finds nothing.
func eventually(t testing.TB, check func() []string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		found := check()
		if len(found) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("left behind: %q", found)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func openFiles(t testing.TB) []string {
	t.Helper()
	var open []string
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && !strings.HasPrefix(to, "/proc/") && !strings.HasPrefix(to, "anon_inode") {
			open = append(open, to)
		}
	}
	slices.Sort(open)
	return open
}

func TestLeavesNothing(t *testing.T) {
	dir := rootfs(t)
	for _, tt := range []struct {
		name, script string
		edit         func(*Spec)
		cancel       bool
	}{
		{name: "success", script: "true"},
		{name: "children", script: "sleep 1000 & sleep 1000 & true"},
		{name: "failure", script: "exit 1"},
		{name: "not found", edit: func(s *Spec) { s.Args = []string{"nosuch"} }},
		{name: "setup failure", script: "true", edit: func(s *Spec) { s.Dir = "/nowhere" }},
		{name: "source failure", script: "true", edit: func(s *Spec) { s.Mounts = []Mount{{Source: "/no/such", Target: "/mnt/x"}} }},
		{name: "canceled", script: "sleep 1000", cancel: true},
		{name: "bridge", script: "cat /sys/class/net/eth0/iflink", edit: func(s *Spec) { s.Network = Bridge }},
		{name: "limits", script: "true", edit: func(s *Spec) { s.Resources = Resources{Memory: 64 << 20, PidsLimit: 20} }},
		{name: "terminal", script: "true", edit: func(s *Spec) { s.Terminal = true }},
		{name: "streams", script: "cat", edit: func(s *Spec) { s.Stdin = strings.NewReader("x") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, tree := openFiles(t), listTree(t, dir)
			root, err := os.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			host := "left-" + strings.ReplaceAll(tt.name, " ", "-")
			var out bytes.Buffer
			s := &Spec{
				Root: root, Args: []string{"/bin/sh", "-c", tt.script}, Env: []string{"PATH=/bin", "MICA_TEST=" + host},
				Hostname: host, Network: None, Stdout: &out,
			}
			if tt.edit != nil {
				tt.edit(s)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if tt.cancel {
				time.AfterFunc(50*time.Millisecond, stop)
			}
			r := &Runner{StateDir: t.TempDir()}
			err = r.Run(ctx, s)
			t.Log(err)
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			root.Close()
			eventually(t, func() []string { return marks(t, host, dir, os.Getpid()) })
			eventually(t, func() []string {
				return slices.DeleteFunc(openFiles(t), func(f string) bool { return slices.Contains(before, f) })
			})
			if d := cmp.Diff(tree, listTree(t, dir)); d != "" {
				t.Errorf("tree before -, after +:\n%s", d)
			}
			if s.Network == Bridge {
				eventually(t, func() []string { return link(t, out.String()) })
			}
		})
	}
}

// listTree lists a tree with times, but for the mount points that stay.
func listTree(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		if rel == "dev" || rel == "proc" || rel == "sys" {
			return nil
		}
		fi, err := d.Info()
		list = append(list, fmt.Sprint(rel, " ", fi.Mode(), " ", fi.ModTime().UnixNano()))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestParentKilled kills a process that runs a sandbox: nothing of it stays,
// but a cgroup, which the next Runner removes.
func TestParentKilled(t *testing.T) {
	if dir := os.Getenv("MICA_TEST_PARENT"); dir != "" {
		s := &Spec{
			Root: openDir(t, dir), Env: []string{"PATH=/bin", "MICA_TEST=killed"}, Stdout: os.Stdout,
			Args: []string{"/bin/sh", "-c", "sleep 1000 & cat /sys/class/net/eth0/iflink; wait"},
			User: os.Getenv("MICA_TEST_USER"),
		}
		t.Fatal((&Runner{StateDir: t.TempDir()}).Run(t.Context(), s))
	}
	dir := rootfs(t)
	for _, user := range []string{"", "bob"} {
		t.Run("user "+user, func(t *testing.T) {
			c := exec.Command("/proc/self/exe", "-test.run=^TestParentKilled$")
			c.Env = append(os.Environ(), "MICA_TEST_PARENT="+dir, "MICA_TEST_USER="+user, "TMPDIR="+t.TempDir())
			c.Stderr = os.Stderr
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			iflink, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Process.Signal(unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			c.Wait()
			notCgroups := func() []string {
				return slices.DeleteFunc(marks(t, "killed", dir, c.Process.Pid), func(s string) bool { return strings.HasPrefix(s, "cgroup") })
			}
			eventually(t, notCgroups)
			if got := run(t, dir, "true", nil); got.failure != nil {
				t.Fatal(got.failure)
			}
			eventually(t, func() []string { return marks(t, "killed", dir, c.Process.Pid) })
			eventually(t, func() []string { return link(t, iflink) })
		})
	}
}
