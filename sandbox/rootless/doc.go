// Package rootless runs this program again where it is root: in a user
// namespace of its own, with a mount namespace, for a caller without privileges.
//
//	func main() {
//		if rootless.Needed() {
//			code, err := rootless.Run(ctx, rootless.Options{})
//			…
//		}
//		…
//	}
//
// In the namespace the caller is user 0. With ranges in /etc/subuid and
// /etc/subgid and the helpers newuidmap and newgidmap, the users from 1 on are
// those ranges; otherwise the namespace knows no other user than 0 ([Single]).
// Root without CAP_SYS_ADMIN, as in a container, keeps all users it has.
//
// The first process stays: it passes signals on, and with it the second one
// dies. Linux 5.11 or later.
//
// See user_namespaces(7), newuidmap(1), subuid(5).
package rootless
