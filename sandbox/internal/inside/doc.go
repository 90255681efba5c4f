// Package inside is the half of a sandbox that runs in it: the re-executed
// process that receives a [Config], builds the world it describes around
// itself, gives up its privileges and becomes the user's command.
//
// It runs on one locked thread and makes system calls that concern only that
// thread, since execve(2) keeps what the calling thread has. It imports little,
// so that it starts fast. Nothing it opens survives the execve.
//
// The steps, in their order, are those of become: everything that needs the
// host's privileges comes first, then the seccomp filter (while CAP_SYS_ADMIN
// allows one without no_new_privs), then the capabilities and the user.
package inside
