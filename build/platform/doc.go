// Package platform says which platforms' programs this machine can run: its
// own, what its processor runs besides, and what the kernel hands to an
// interpreter such as qemu (binfmt_misc).
//
// [Runnable] answers for one platform and may start a tiny program to find out;
// [Supported] lists what can be told without, and costs a few reads. Nothing is
// remembered between calls, as interpreters come and go.
//
// Source: https://docs.kernel.org/admin-guide/binfmt-misc.html
package platform
