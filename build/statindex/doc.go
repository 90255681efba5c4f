// Package statindex remembers the content digests of a build context's files
// between builds, so that an unchanged file costs a stat and no read.
//
// An [Index] holds for each path what stat said (size, times to the
// nanosecond, inode, device, mode, owner) when the file was hashed, and the
// SHA-256 of its bytes. A file whose stat is the same has the same bytes, since
// the kernel moves ctime with every write, with one exception: a write in the
// same tick of the file system's clock as the hashing. So a file that changed
// just before it was hashed is not remembered; the next build hashes it again
// (git calls such entries racily clean).
//
// The form on disk is this machine's own: what is damaged or of another
// version is dropped, and costs one hashing of everything. The caller keeps
// the bytes: one index per context directory.
package statindex
