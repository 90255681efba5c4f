// Package copy stacks layer trees by copying them, where overlayfs is not to be
// had: on filesystems it does not take, or without the right to mount.
//
// Mount copies the lower directories, as overlayfs would show them, to a directory
// of its own. Settle compares what became of it with what it was, by inode number
// and change time, and puts the difference into the upper directory in overlay
// form, so that the result is the same as with package overlay, at the price of
// the copy.
package copy
