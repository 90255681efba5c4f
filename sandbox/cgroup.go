//go:build linux

package sandbox

import (
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/sandbox/cgroup"
	"github.com/mica-build/mica/sandbox/internal/inside"
)

// fillCgroup makes the sandbox's cgroup and says what of it is seen inside.
func (l *launch) fillCgroup() error {
	if l.userns {
		return l.fillDelegated()
	}
	g, err := l.r.cgroups.New(l.s.CgroupParent, cgroup.Limits(l.s.Resources), !l.s.Insecure)
	if err != nil {
		return err
	}
	l.group, l.p.group = g, g
	l.later(g.Remove)
	l.p.oom = g.OOMKilled
	if l.s.Accounting {
		if err := g.Account(); err != nil {
			return err
		}
	}
	if !l.s.Insecure && !g.Guarded {
		// Nothing watches over devices: none can be made, and those of the image
		// and of mounts cannot be opened.
		l.config.NoDevices = true
		l.config.Caps &^= 1 << unix.CAP_MKNOD
	}
	if d := g.Dir(); d != nil {
		l.attr.Sys.UseCgroupFD = true
		l.attr.Sys.CgroupFD = int(d.Fd())
	}
	if g.Unified() {
		// With several hierarchies a namespace would hide only one, and others see
		// paths that do not exist.
		l.attr.Sys.Cloneflags |= unix.CLONE_NEWCGROUP
		l.config.Cgroup.Unified = true
		return nil
	}
	dirs := g.Dirs()
	for _, name := range slices.Sorted(maps.Keys(dirs)) {
		l.config.Cgroup.V1 = append(l.config.Cgroup.V1, inside.CgroupBind{Name: name, Path: dirs[name]})
	}
	return nil
}

// fillDelegated makes a cgroup for a process with limits in what this user has
// been given of the host's.
func (l *launch) fillDelegated() error {
	if l.s.Resources == (Resources{}) && !l.s.Accounting {
		return nil
	}
	if err := l.r.cgroups.UseDelegated(); err != nil {
		if l.s.Resources == (Resources{}) {
			return nil
		}
		l.notice("the limits on memory, CPU and processes are not set: " + err.Error() + "; see docs/rootless.md")
		return nil
	}
	g, err := l.r.cgroups.New("", cgroup.Limits(l.s.Resources), false)
	if err != nil {
		return err
	}
	l.group, l.p.group = g, g
	l.later(g.Remove)
	l.p.oom = g.OOMKilled
	if d := g.Dir(); d != nil {
		l.attr.Sys.UseCgroupFD = true
		l.attr.Sys.CgroupFD = int(d.Fd())
	}
	return nil
}

// joinGroup moves the process, which waits, where starting it did not put it.
func (l *launch) joinGroup() error {
	if l.group == nil {
		return nil
	}
	return l.group.Add(l.p.proc.Pid)
}
