// Package seccomp compiles docker's seccomp profile to a filter the kernel
// takes, without libseccomp.
//
//	filter, err := seccomp.Default(caps)
//	prog := filter.Bytes()
//
// The profile is data of github.com/moby/profiles/seccomp; which of its rules
// apply depends on the capabilities of the process. The result behaves as the
// one that runc and libseccomp make of it: calls that the profile does not name
// fail with EPERM, and those newer than every call it names with ENOSYS, so that
// a program falls back to an older call. Where a name is in a table here but not
// in the machine's libseccomp, the newer table wins.
//
// The system call numbers are generated from golang.org/x/sys/unix.
package seccomp
