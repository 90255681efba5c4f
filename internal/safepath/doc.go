// Package safepath opens paths of an untrusted directory tree.
//
// Every path is resolved as if the process had been chrooted into the given
// root directory: a leading slash, an absolute symbolic link and any number of
// ".." stay inside it, whatever another process renames meanwhile. The kernel
// does it (openat2 with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS, Linux 5.6);
// where it cannot, a walk by directory descriptors gives the same answers.
//
// A root is an open directory ([OpenRoot]). Paths are slash separated, taken
// literally (never cleaned: a/../b follows the symbolic link a), and "" means
// the root. Errors are *fs.PathError with the path as given.
//
// All functions may be called concurrently.
package safepath
