// Package lockfile locks files among processes and goroutines.
//
// A lock is an flock(2) on an open file description: it ends with Release or
// with the process, however that ends, and is not taken over by children. The
// file system must be local; network file systems do not keep flock's promise.
//
// A lock file may be removed, or renamed away with its directory, while others
// wait for it: who gets a lock is assured that the path still leads to the file
// that is locked.
package lockfile
