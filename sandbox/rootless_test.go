//go:build linux

package sandbox

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestRootless runs the sandbox as an ordinary user.
func TestRootless(t *testing.T) {
	if dir := os.Getenv("MICA_TEST_ROOTLESS"); dir != "" {
		rootlessChild(t, dir)
		return
	}
	dir := rootfs(t)
	const uid = 54321
	// The path to a test's directory is root's alone.
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, uid, uid)
	})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "..", "test.exe")
	if err := os.WriteFile(exe, self, 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, "-test.run=^TestRootless$", "-test.v")
	c.Env = append(os.Environ(), "MICA_TEST_ROOTLESS="+dir, "TMPDIR="+filepath.Join(dir, "tmp"))
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	c.Dir = "/"
	out, err := c.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	if bytes.Contains(out, []byte("SKIP")) {
		t.Skip("needs user namespaces")
	}
}

func rootlessChild(t *testing.T, dir string) {
	for _, tt := range []struct {
		name, script, want string
		edit               func(*Spec)
	}{
		{"root", "id -u; echo $HOME; echo x > /made; cat /made; rm /made", "0\n/root\nx\n", nil},
		{"user", "id -u; id -g; echo $HOME; grep -cE 'Cap(Prm|Eff|Amb|Inh):.0*$' /proc/self/status", "1000\n1001\n/home/bob\n4\n", func(s *Spec) { s.User = "bob" }},
		{"processes", "echo $$ /proc/[0-9]*", "1 /proc/1\n", nil},
		{"devices", "head -c 3 /dev/zero | wc -c; echo > /dev/null", "3\n", nil},
		{"nothing above", "stat -c %d:%i / /.. /dev/.. /proc/.. | sort -u | wc -l; awk '$5 == \"/\"' /proc/self/mountinfo | wc -l", "1\n1\n", nil},
		{"no network", "grep -c : /proc/net/dev", "1\n", func(s *Spec) { s.Network = None }},
		{"mount", "cat /mnt/x/passwd | head -c 4; echo > /mnt/x/no; echo $?", "root1\n", func(s *Spec) {
			s.Mounts = []Mount{{Source: dir + "/etc", Target: "/mnt/x", ReadOnly: true}}
		}},
		{"masked", "cat /proc/timer_list | wc -c; echo 1 > /proc/sys/kernel/hostname; echo $?", "0\n1\n", nil},
	} {
		var out, errOut bytes.Buffer
		s := &Spec{
			Root: openDir(t, dir), Args: []string{"/bin/sh", "-c", tt.script}, Env: []string{"PATH=/bin"},
			Stdout: &out, Stderr: &errOut,
		}
		if tt.edit != nil {
			tt.edit(s)
		}
		err := (&Runner{Rootless: true}).Run(t.Context(), s)
		if err != nil || out.String() != tt.want {
			t.Errorf("%s: got %q, stderr %q, error %v, want %q", tt.name, out.String(), errOut.String(), err, tt.want)
		}
	}
}
