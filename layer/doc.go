// Package layer turns directory trees into layer tars and back.
//
// A layer's tree on disk is in overlayfs form: a deleted name is a character
// device 0:0, an opaque directory carries the xattr trusted.overlay.opaque=y
// (user.overlay.opaque=y without root). In a tar the same things are the
// files .wh.NAME and .wh..wh..opq of the OCI image specification.
//
// Diff writes a tree as a tar whose bytes depend only on the tree (and on
// DiffOptions), never on the machine, user, directory order or number of cores.
// Apply reads a tar, which may be hostile, into a directory it cannot leave.
package layer
