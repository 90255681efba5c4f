//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Group is the cgroup of one sandbox.
type Group struct {
	// Guarded says that the group keeps its processes from opening devices.
	Guarded bool

	m      *Manager
	layout *layout
	rel    string            // below each mount point
	dirs   map[string]string // by controller of v1; "" is v2
	dir    *os.File          // that of v2
}

// Dir is the group in v2, to start the process in; nil where there is no v2.
// It belongs to the group.
func (g *Group) Dir() *os.File { return g.dir }

// Unified says that the group is in v2 and nowhere else, so that a cgroup
// namespace shows it all.
func (g *Group) Unified() bool { return g.dir != nil && g.layout.pureV2() }

// Dirs are the group's directories by the name they have below
// /sys/fs/cgroup: controllers, and "unified" for v2.
func (g *Group) Dirs() map[string]string {
	m := make(map[string]string, len(g.dirs))
	for controller, dir := range g.dirs {
		if controller == "" {
			controller = "unified"
		}
		m[controller] = dir
	}
	return m
}

// Add moves the process pid, which was started in Dir, into the other hierarchies.
func (g *Group) Add(pid int) error {
	for controller, dir := range g.dirs {
		if controller == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			return fmt.Errorf("move process %d to cgroup %s: %w", pid, g.rel, err)
		}
	}
	return nil
}

// OOMKilled says whether the kernel has killed a process of the group because
// of its memory limit.
func (g *Group) OOMKilled() bool {
	for controller, file := range map[string]string{"": "memory.events", "memory": "memory.oom_control"} {
		dir := g.dirs[controller]
		if dir == "" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if n, ok := strings.CutPrefix(line, "oom_kill "); ok && strings.TrimSpace(n) != "0" {
				return true
			}
		}
	}
	return false
}

// Remove kills what is left in the group and removes it, with the parents that
// were made for it and hold nothing else. It may be called twice.
func (g *Group) Remove() error {
	var all []error
	if g.dir != nil {
		all = append(all, g.dir.Close())
		g.dir = nil
	}
	for _, dir := range g.dirs {
		all = append(all, destroy(dir))
	}
	g.dirs = nil
	g.m.leave()
	return errors.Join(all...)
}

// destroy removes a group and those below it, killing their processes.
func destroy(dir string) error {
	err := unix.Rmdir(dir)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	deadline := time.Now().Add(5 * time.Second)
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		killAll(dir)
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.IsDir() {
				destroy(filepath.Join(dir, e.Name()))
			}
		}
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		time.Sleep(wait)
	}
}

// killAll kills the processes of a group: at once where the kernel can
// (5.14), otherwise one by one.
func killAll(dir string) {
	if os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0) == nil {
		return
	}
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return
	}
	for p := range strings.FieldsSeq(string(data)) {
		if pid, err := strconv.Atoi(p); err == nil && pid > 0 {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}
