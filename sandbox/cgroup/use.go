//go:build linux

package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mica-build/mica/errs"
)

// accounting are the controllers that Usage asks.
var accounting = []string{"cpuacct", "memory", "pids", "blkio", "freezer"}

// Usage is what a group has used and may use. What no controller counts is zero.
type Usage struct {
	CPU         time.Duration // of processors, by all its processes together
	Memory      int64         // bytes, without the page cache that can be dropped
	MemoryLimit int64         // bytes; 0 is none
	Processes   int64         // with threads
	BlockRead   int64         // bytes
	BlockWrite  int64
}

// Usage asks the kernel.
func (g *Group) Usage() Usage {
	var u Usage
	if d := g.having("cpu.stat", ""); d != "" {
		u.CPU = time.Duration(keyed(d, "cpu.stat", "usage_usec")) * time.Microsecond
	}
	if d := g.having("cpuacct.usage", "cpuacct"); d != "" {
		u.CPU = time.Duration(number(d, "cpuacct.usage"))
	}
	if d := g.having("memory.current", ""); d != "" {
		u.Memory = number(d, "memory.current") - keyed(d, "memory.stat", "inactive_file")
		u.MemoryLimit = number(d, "memory.max")
	} else if d := g.having("memory.usage_in_bytes", "memory"); d != "" {
		u.Memory = number(d, "memory.usage_in_bytes") - keyed(d, "memory.stat", "total_inactive_file")
		if u.MemoryLimit = number(d, "memory.limit_in_bytes"); u.MemoryLimit >= 1<<62 {
			u.MemoryLimit = 0
		}
	}
	for _, controller := range []string{"", "pids"} {
		if d := g.having("pids.current", controller); d != "" {
			u.Processes = number(d, "pids.current")
		}
	}
	if d := g.having("io.stat", ""); d != "" {
		u.BlockRead, u.BlockWrite = ioStat(d)
	} else if d := g.having("blkio.throttle.io_service_bytes", "blkio"); d != "" {
		u.BlockRead = keyed(d, "blkio.throttle.io_service_bytes", "Read")
		u.BlockWrite = keyed(d, "blkio.throttle.io_service_bytes", "Write")
	}
	u.Memory = max(u.Memory, 0)
	return u
}

// having is the group's directory of a controller, if it has the file.
func (g *Group) having(file, controller string) string {
	dir := g.dirs[controller]
	if dir == "" {
		return ""
	}
	if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
		return ""
	}
	return dir
}

// number reads a file with one number; "max" is 0.
func number(dir, file string) int64 {
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return n
}

// keyed adds up the numbers at the end of the lines in which key comes before them.
func keyed(dir, file, key string) int64 {
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0
	}
	var sum int64
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[len(f)-2] != key {
			continue
		}
		n, _ := strconv.ParseInt(f[len(f)-1], 10, 64)
		sum += n
	}
	return sum
}

// ioStat adds up the bytes of all devices.
func ioStat(dir string) (read, written int64) {
	data, err := os.ReadFile(filepath.Join(dir, "io.stat"))
	if err != nil {
		return 0, 0
	}
	for f := range strings.FieldsSeq(string(data)) {
		key, value, _ := strings.Cut(f, "=")
		n, _ := strconv.ParseInt(value, 10, 64)
		switch key {
		case "rbytes":
			read += n
		case "wbytes":
			written += n
		}
	}
	return read, written
}

// Processes lists the processes of the group and of those below it.
func (g *Group) Processes() ([]int, error) {
	for _, dir := range g.dirs {
		return processes(dir)
	}
	return nil, fmt.Errorf("processes of a control group: %w", errs.ErrNotFound)
}

func processes(dir string) ([]int, error) {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var pids []int
	for s := range strings.FieldsSeq(string(data)) {
		if pid, err := strconv.Atoi(s); err == nil {
			pids = append(pids, pid)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return pids, err
	}
	for _, e := range entries {
		if e.IsDir() {
			below, err := processes(filepath.Join(dir, e.Name()))
			if err != nil {
				return pids, err
			}
			pids = append(pids, below...)
		}
	}
	return pids, nil
}

// Freeze stops all processes of the group, or lets them go on.
func (g *Group) Freeze(on bool) error {
	if d := g.having("cgroup.freeze", ""); d != "" {
		value := "0"
		if on {
			value = "1"
		}
		return writeSetting(d, setting{"freezer", "cgroup.freeze", value})
	}
	if d := g.having("freezer.state", "freezer"); d != "" {
		value := "THAWED"
		if on {
			value = "FROZEN"
		}
		return writeSetting(d, setting{"freezer", "freezer.state", value})
	}
	return fmt.Errorf("freeze processes: this machine has no freezer: %w", errs.ErrUnsupported)
}

// Set changes the limits that are not zero.
func (g *Group) Set(l Limits) error {
	for _, s := range l.v2() {
		if d := g.having(s.file, ""); d != "" {
			if err := writeSetting(d, s); err != nil {
				return err
			}
		}
	}
	for _, s := range l.v1() {
		if d := g.dirs[s.controller]; s.controller != "" && d != "" {
			if err := writeSetting(d, s); err != nil {
				return err
			}
			continue
		}
		if !l.hasV2(g, s.controller) {
			return fmt.Errorf("set %s: the container was started without the %s controller: %w; start it again", s.file, s.controller, errs.ErrUnsupported)
		}
	}
	return nil
}

// hasV2 says whether the settings of a controller are v2's in this group.
func (l *Limits) hasV2(g *Group, controller string) bool {
	for _, s := range l.v2() {
		if s.controller == controller && g.having(s.file, "") != "" {
			return true
		}
	}
	return false
}

// Account makes Usage and Freeze work on a machine with cgroup v1, where a group is only
// in the hierarchies that its limits need. It comes before Add.
func (g *Group) Account() error {
	for _, controller := range accounting {
		point := g.layout.v1[controller]
		if point == "" || g.dirs[controller] != "" {
			continue
		}
		dir, err := g.m.makeDir(point, g.rel)
		if err != nil {
			return err
		}
		g.dirs[controller] = dir
	}
	return nil
}
