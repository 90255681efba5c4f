// Package layer turns directory trees into layer tars and back.
//
// A layer's tree on disk is in overlayfs form: a deleted name is a character
// device 0:0, an opaque directory carries the xattr trusted.overlay.opaque=y
// (user.overlay.opaque=y where [UserXattr] says so). In a tar the same things
// are the files .wh.NAME and .wh..wh..opq of the [OCI image specification].
//
// [Diff] writes a tree as a tar whose bytes depend only on the tree (and on
// DiffOptions), never on the machine, user, directory order or number of cores.
// [Settle] first takes out of an overlay upper directory what is not a change.
// [Apply] reads a tar, which may be hostile, into a directory it cannot leave.
// [Lookup] sees a stack of trees as overlayfs would show it. [Compress] and
// [Decompress] are the codecs layers travel in.
//
// The caller owns the trees: while a function works on one nobody else may
// change it. Otherwise everything may be called concurrently. Trees need Linux;
// the codecs work everywhere.
//
// [OCI image specification]: https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md
package layer
