// Package sandbox runs one process isolated from the host, as docker runs a
// RUN step or a container.
//
// A [Runner] turns a [Spec] into a [Process]; [Runner.Run] also waits for it.
// The program must call [Init] first thing in main, since the sandbox starts as
// a copy of the program itself (no helper binary, no cgo), sets up its
// namespaces, mounts, limits and privileges, and becomes the command:
//
//	func main() {
//		sandbox.Init()
//		…
//	}
//
//	r := &sandbox.Runner{StateDir: dir}
//	err := r.Run(ctx, &sandbox.Spec{Root: root, Args: []string{"/bin/true"}, Stdout: os.Stdout})
//
// # What the process sees
//
// Docker's defaults: 14 capabilities (0xa80425fb), docker's seccomp profile,
// masked and read-only parts of /proc and /sys, a /dev with six devices that are
// the only ones it may open, umask 022, its own session keyring, no_new_privs
// off so that sudo works, and read-only /etc/hosts and /etc/resolv.conf. It is
// PID 1 of its pid namespace.
//
// # What it leaves
//
// Mount targets that are missing in the root are made and, when the process has
// ended, removed again if they are empty, and so are the directories made for
// them; the times of the directories around them stay. /dev, /proc and /sys stay.
// Everything else is bound to the life of the process: mounts are in its mount
// namespace, its death kills every process of its pid namespace, its network
// interface vanishes with its network namespace, its cgroup is removed. It dies
// with the Runner's process, even when that is killed; a cgroup left behind so
// is removed by the next Run. The bridge mica0 and its nftables table stay.
//
// A Runner and a Process may be used concurrently. Linux 5.10 or later.
package sandbox
