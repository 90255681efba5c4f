//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/testenv"
)

func TestParseMountinfo(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     *layout
	}{
		{
			"v2", "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
			&layout{v2: "/sys/fs/cgroup", v1: map[string]string{}},
		},
		{
			"v1", "33 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 - cgroup cgroup rw,cpu,cpuacct\n34 32 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n",
			&layout{v1: map[string]string{"cpu": "/sys/fs/cgroup/cpu,cpuacct"}},
		},
		{
			"hybrid", "35 31 0:32 / /my\\040dir/memory rw - cgroup cgroup rw,memory\n41 31 0:38 / /my\\040dir/unified rw - cgroup2 cgroup2 rw\n",
			&layout{v2: "/my dir/unified", v1: map[string]string{"memory": "/my dir/memory"}},
		},
		{"broken", "1 2 3\n - cgroup2\n\n", &layout{v1: map[string]string{}}},
	} {
		if d := cmp.Diff(tt.want, parseMountinfo([]byte(tt.in)), cmp.AllowUnexported(layout{})); d != "" {
			t.Errorf("%s: want -, got +:\n%s", tt.name, d)
		}
	}
}

func FuzzParseMountinfo(f *testing.F) {
	f.Add([]byte("30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"))
	f.Add([]byte("1 2 3 4 \\040 - cgroup a memory,"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := parseMountinfo(data)
		for _, p := range l.v1 {
			if p == "" {
				t.Error("empty mount point")
			}
		}
	})
}

func TestLimitFiles(t *testing.T) {
	l := &Limits{
		Memory: 100, MemorySwap: 150, CPUShares: 1024, CPUPeriod: 1000, CPUQuota: 500,
		CpusetCPUs: "0-1", CpusetMems: "0", PidsLimit: -1,
	}
	show := func(settings []setting) (out []string) {
		for _, s := range settings {
			out = append(out, s.controller+" "+s.file+"="+s.value)
		}
		return out
	}
	wantV2 := []string{
		"memory memory.max=100", "memory memory.swap.max=50", "cpu cpu.weight=39", "cpu cpu.max=500 1000",
		"cpuset cpuset.cpus=0-1", "cpuset cpuset.mems=0", "pids pids.max=max",
	}
	wantV1 := []string{
		"memory memory.limit_in_bytes=100", "memory memory.memsw.limit_in_bytes=150", "cpu cpu.shares=1024",
		"cpu cpu.cfs_period_us=1000", "cpu cpu.cfs_quota_us=500", "cpuset cpuset.cpus=0-1", "cpuset cpuset.mems=0", "pids pids.max=max",
	}
	if d := cmp.Diff(wantV2, show(l.v2())); d != "" {
		t.Errorf("v2: want -, got +:\n%s", d)
	}
	if d := cmp.Diff(wantV1, show(l.v1())); d != "" {
		t.Errorf("v1: want -, got +:\n%s", d)
	}
	if s := (&Limits{MemorySwap: -1}).v2(); s[0].value != "max" {
		t.Errorf("unlimited swap: %v", s)
	}
	if s := (&Limits{CPUPeriod: 7}).v2(); s[0].value != "max 7" {
		t.Errorf("period alone: %v", s)
	}
}

func TestWeight(t *testing.T) {
	for shares, want := range map[uint64]uint64{1: 1, 2: 1, 1024: 39, 262144: 10000, 1 << 40: 10000} {
		if got := weight(shares); got != want {
			t.Errorf("weight(%d) = %d, want %d", shares, got, want)
		}
	}
}

func TestAlive(t *testing.T) {
	own, err := owner()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		own + "-x":                             true,
		fmt.Sprintf("%d-1-x", os.Getpid()):     false, // another, earlier process of this number
		fmt.Sprintf("%d-1-x", 1<<22+1):         false,
		"docker":                               true,
		"a-b-c":                                true,
		fmt.Sprintf("%s-more-x", os.TempDir()): true,
	} {
		if got := alive(name); got != want {
			t.Errorf("alive(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestParentStaysInside(t *testing.T) {
	if _, err := new(Manager).New("/", Limits{}, false); !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("parent /: %v, want invalid", err)
	}
}

// TestRemoveParents: what was made for a group goes with it, what was there
// before and what others use stays.
func TestRemoveParents(t *testing.T) {
	testenv.Root(t)
	lay, err := readLayout()
	if err != nil || lay.v2 == "" {
		t.Skipf("needs cgroup v2: %v", err)
	}
	theirs := filepath.Join(lay.v2, fmt.Sprintf("mica-test-parent-%d", os.Getpid()))
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(theirs)
	var m, other Manager
	newGroup := func(m *Manager) *Group {
		g, err := m.New(filepath.Base(theirs)+"/made/deep", Limits{}, false)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	first, second, third := newGroup(&m), newGroup(&m), newGroup(&other)
	for _, step := range []struct {
		remove *Group
		stays  bool
	}{{third, true}, {first, true}, {second, false}} {
		if err := step.remove.Remove(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(theirs + "/made/deep"); (err == nil) != step.stays {
			t.Errorf("the parents: %v, want them there: %v", err, step.stays)
		}
	}
	if _, err := os.Stat(theirs + "/made"); err == nil {
		t.Error("the outer parent is still there")
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Errorf("the parent that was there is gone: %v", err)
	}
}

// TestReap: groups of a maker that is gone are removed with their processes.
func TestReap(t *testing.T) {
	testenv.Root(t)
	lay, err := readLayout()
	if err != nil || lay.v2 == "" {
		t.Skipf("needs cgroup v2: %v", err)
	}
	parent := fmt.Sprintf("mica-test-%d", os.Getpid())
	dir := filepath.Join(lay.v2, parent, fmt.Sprintf("%d-1-abc", os.Getpid()))
	if err := os.MkdirAll(dir+"/below", 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(filepath.Join(lay.v2, parent))
	c := exec.Command("sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/below/cgroup.procs", []byte(fmt.Sprint(c.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	m := &Manager{}
	defer m.Close()
	g, err := m.New(parent, Limits{}, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process left behind: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the group left behind is still there")
	}
	if err := errors.Join(g.Remove(), g.Remove()); err != nil {
		t.Error(err)
	}
}
