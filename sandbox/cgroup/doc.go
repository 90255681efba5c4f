// Package cgroup gives each sandbox a cgroup of its own: for its limits, for
// the devices it may open, and to know and kill all its processes.
//
//	g, err := m.New(ctx, "", cgroup.Limits{Memory: 1 << 30})
//	// start the process in g.Dir() (CLONE_INTO_CGROUP), then g.Add(pid)
//	defer g.Remove()
//
// It works on cgroup v2, on v1, and where both are mounted (hybrid). On v1 only
// those controllers get a group that a limit needs, since moving a process
// between groups of v1 is slow.
//
// Groups lie below "mica", or a parent of the caller's, and are named by the
// process that made them and when it started. Those whose maker is gone are
// killed and removed when the next is made.
package cgroup
