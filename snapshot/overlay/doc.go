// Package overlay stacks layer trees with the kernel's overlayfs.
//
// A Mounter makes detached mounts: they are in no mount namespace, are reached
// through their file descriptor only, and vanish with it. Nothing has to be
// unmounted after a crash.
//
//	tree, err := overlay.New().Mount(ctx, snapshot.Request{Lower: dirs, Upper: up, Work: work})
//	…
//	defer tree.Close()
//
// The tree's File is opened with O_PATH: it can be given to move_mount(2), to
// the *at system calls and reached by Tree.Path, but not read itself.
//
// redirect_dir, metacopy, index and xino are off, so that an upper directory
// holds whole files and means the same on any kernel; marks of those features in
// a lower directory are refused by the kernel. In a user namespace other than the
// initial one the mount uses user.overlay.* attributes (userxattr, Linux 5.11).
//
// From Linux 6.5 on, the new mount API takes the layers one by one; before, a
// thread in a mount namespace of its own makes the mount and hands out a
// detached clone (Linux 5.2).
//
// See https://docs.kernel.org/filesystems/overlayfs.html.
package overlay
