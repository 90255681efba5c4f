//go:build linux

package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// inLimit reads a limit in v2 or, failing that, v1.
func inLimit(v2, v1 string) string {
	return fmt.Sprintf("cat /sys/fs/cgroup/%s 2>/dev/null || cat /sys/fs/cgroup/%s", v2, v1)
}

func TestLimits(t *testing.T) {
	dir := rootfs(t)
	for _, tt := range []struct {
		name, script, want string
		edit               func(*Spec)
	}{
		{
			"memory", inLimit("memory.max", "memory/memory.limit_in_bytes"), "67108864\n",
			func(s *Spec) { s.Resources.Memory = 64 << 20 },
		},
		{"pids", inLimit("pids.max", "pids/pids.max"), "17\n", func(s *Spec) { s.Resources.PidsLimit = 17 }},
		{
			"cpu quota", "cat /sys/fs/cgroup/cpu.max 2>/dev/null || cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000",
			func(s *Spec) { s.Resources.CPUQuota, s.Resources.CPUPeriod = 50000, 100000 },
		},
		{"cpuset", "nproc", "1\n", func(s *Spec) { s.Resources.CpusetCPUs = "0" }},
		{"nofile", "ulimit -n; ulimit -Hn", "100\n200\n", func(s *Spec) { s.Ulimits = []Ulimit{{"nofile", 100, 200}} }},
		{"nproc", "awk '/Max processes/ {print $3, $4}' /proc/self/limits", "50 50\n", func(s *Spec) { s.Ulimits = []Ulimit{{"nproc", 50, 50}} }},
		{"shm", "df -k /dev/shm | awk 'NR==2 {print $2}'", "1024\n", func(s *Spec) { s.ShmSize = 1 << 20 }},
		{"default shm", "df -k /dev/shm | awk 'NR==2 {print $2}'", "65536\n", func(*Spec) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, dir, tt.script, tt.edit)
			if got.failure != nil || !strings.HasPrefix(got.out, tt.want) {
				t.Errorf("got %q, stderr %q, error %v, want %q", got.out, got.err, got.failure, tt.want)
			}
		})
	}
}

func TestPidsLimitHolds(t *testing.T) {
	dir := rootfs(t)
	got := run(t, dir, "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 5 & done; wait", func(s *Spec) { s.Resources.PidsLimit = 5 })
	if !strings.Contains(got.err, "fork") {
		t.Errorf("11 processes under a limit of 5: stderr %q, error %v", got.err, got.failure)
	}
}

func TestOOM(t *testing.T) {
	dir := rootfs(t)
	got := run(t, dir, "head -c 100000000 /dev/zero | tail -c 90000000 > /dev/null; exit $?", func(s *Spec) {
		s.Resources.Memory, s.Resources.MemorySwap = 16<<20, 16<<20
	})
	if got.failure != nil && strings.Contains(got.failure.Error(), "not available here") {
		t.Skip(got.failure)
	}
	var x *ExitError
	if !errors.As(got.failure, &x) || !x.OOMKilled || x.Code != 137 {
		t.Errorf("got %#v, want code 137 by the memory limit", got.failure)
	}
}

func TestCapabilities(t *testing.T) {
	dir := rootfs(t)
	const caps = "grep CapEff /proc/self/status | cut -f 2"
	for _, tt := range []struct {
		name string
		edit func(*Spec)
		want uint64
	}{
		{"default", func(*Spec) {}, 0xa80425fb},
		{"add", func(s *Spec) { s.CapAdd = []string{"CAP_NET_ADMIN"} }, 0xa80425fb | 1<<12},
		{"drop", func(s *Spec) { s.CapDrop = []string{"chown", "KILL"} }, 0xa80425fb &^ 0x21},
		{"drop all add one", func(s *Spec) { s.CapDrop, s.CapAdd = []string{"ALL"}, []string{"chown"} }, 1},
		{"user", func(s *Spec) { s.User = "bob" }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, dir, caps, tt.edit)
			have, err := strconv.ParseUint(strings.TrimSpace(got.out), 16, 64)
			if err != nil || have != tt.want {
				t.Errorf("got %#x, want %#x: %v %v", have, tt.want, got.failure, err)
			}
		})
	}
}

func TestInsecure(t *testing.T) {
	dir := rootfs(t)
	got := run(t, dir, `grep -E 'CapEff|Seccomp:' /proc/self/status
mkdir /mnt; mount -t tmpfs x /mnt && echo mounted
test -w /proc/sys/kernel/hostname && echo writable
dd if=/dev/kmsg count=0 2>/dev/null && echo device`, func(s *Spec) { s.Insecure = true })
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, own, _ := strings.Cut(string(data), "CapEff:\t")
	own, _, _ = strings.Cut(own, "\n")
	want := "CapEff:\t" + own + "\nSeccomp:\t0\nmounted\nwritable\ndevice\n"
	if got.out != want {
		t.Errorf("got %q, stderr %q, %v, want %q", got.out, got.err, got.failure, want)
	}
}

func TestUsers(t *testing.T) {
	dir := rootfs(t)
	for _, tt := range []struct {
		user, want string
		groups     []string
	}{
		{user: "", want: "0 0 0 44 /root"},
		{user: "bob", want: "1000 1001 29 44 1001 /home/bob"},
		{user: "1000", want: "1000 1001 29 44 1001 /home/bob"},
		{user: "bob:audio", want: "1000 29 29 /home/bob"},
		{user: "bob:7", want: "1000 7 7 /home/bob"},
		{user: "4321", want: "4321 0 0 /"},
		{user: "4321:root", want: "4321 0 0 /"},
		{user: "bob:root", want: "1000 0 0 /home/bob"},
		{user: "4321:5", want: "4321 5 5 /"},
		{user: "bob:7", groups: []string{"video", "99"}, want: "1000 7 7 44 99 /home/bob"},
	} {
		t.Run(tt.user, func(t *testing.T) {
			got := run(t, dir, "echo $(id -u) $(id -g) $(grep Groups /proc/self/status | cut -f 2) $HOME", func(s *Spec) { s.User, s.Groups = tt.user, tt.groups })
			if strings.Join(strings.Fields(got.out), " ") != tt.want {
				t.Errorf("got %q, want %q: %v", got.out, tt.want, got.failure)
			}
		})
	}
}

// TestRootWithoutFiles: an image without passwd has root all the same.
func TestRootWithoutFiles(t *testing.T) {
	dir := rootfs(t)
	os.Remove(dir + "/etc/passwd")
	os.Remove(dir + "/etc/group")
	for _, user := range []string{"", "root", "0", "root:0", "root:root", "0:root"} {
		got := run(t, dir, "id -u; id -g; echo $HOME", func(s *Spec) { s.User = user })
		if got.out != "0\n0\n/\n" {
			t.Errorf("user %q: got %q, %v", user, got.out, got.failure)
		}
	}
}

func TestOwnStreams(t *testing.T) {
	dir := rootfs(t)
	got := run(t, dir, "echo out > /dev/stdout; echo err > /dev/stderr", func(s *Spec) { s.User = "bob" })
	if got.out != "out\n" || got.err != "err\n" {
		t.Errorf("got %q, %q, %v", got.out, got.err, got.failure)
	}
}

func TestTerminal(t *testing.T) {
	dir := rootfs(t)
	var out lockedBuffer
	s := &Spec{
		Root: openDir(t, dir), Env: []string{"PATH=/bin"}, Network: None, Terminal: true, Stdout: &out,
		Args: []string{"/bin/sh", "-c", "tty; test -c /dev/console && echo console; read x; stty size; exit 4"},
	}
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	s.Stdin = in
	p, err := (&Runner{StateDir: t.TempDir()}).Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Resize(30, 100); err != nil {
		t.Error(err)
	}
	feed.WriteString("go\n")
	feed.Close()
	var x *ExitError
	if err := p.Wait(); !errors.As(err, &x) || x.Code != 4 {
		t.Errorf("wait: %v, want code 4", err)
	}
	for _, want := range []string{"/dev/pts/0\r\n", "console\r\n", "30 100\r\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %q, want %q in it", out.String(), want)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestSignal(t *testing.T) {
	dir := rootfs(t)
	var out lockedBuffer
	s := &Spec{
		Root: openDir(t, dir), Env: []string{"PATH=/bin"}, Network: None, Stdout: &out,
		Args: []string{"/bin/sh", "-c", "trap 'exit 9' TERM; echo ready; while true; do sleep 0.05; done"},
	}
	p, err := (&Runner{StateDir: t.TempDir()}).Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for out.String() == "" {
		time.Sleep(5 * time.Millisecond)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	var x *ExitError
	if err := p.Wait(); !errors.As(err, &x) || x.Code != 9 {
		t.Errorf("wait: %v, want code 9", err)
	}
}
