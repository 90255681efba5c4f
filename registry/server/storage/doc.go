// Package storage says what a registry's server needs of the place where it
// keeps things: Blobs for bytes and Index for what each repository has of them.
//
// The two are apart so that bytes may lie in an object store and the index in a
// database. Package memory has both in memory, package files both in files;
// storagetest is the suite that every implementation passes.
//
// A repository comes into being with its first content. Bytes are kept once,
// however many repositories have them; a repository has a blob if the index
// says so (a Link), whether or not the bytes are there for another one.
//
// What keeps bytes and index together is one rule: a link is made within
// Index.Update, by a function that publishes the bytes or finds them there, and
// Index.Collect, by which garbage is removed, runs before or after that
// function, never beside it.
//
// What is not there is errs.ErrNotFound. Everything is safe for concurrent use.
package storage
