// Package fileop carries out the file actions of a build: COPY and ADD, mkdir,
// mkfile, symlink and rm, on a directory tree that is confined whatever
// symlinks it holds.
//
// Selecting what a copy takes is one piece of code with two users: [Copy], and
// [Digest], which gives the content key of the same selection. The steps are
//
//   - sources: the action's source path, its wildcards and links, become one
//     or more places in the [Source];
//   - scan: each place is read into a tree of entries, leaving out what
//     .dockerignore hides and what the action's patterns do not take;
//   - then Copy writes the entries, and Digest hashes them.
//
// Trees are only ever reached through the directory descriptors that the
// caller opened; a symbolic link, absolute or not, resolves inside its tree.
//
// Everything may be called concurrently, but not two actions on one
// destination. A copy that fails leaves what it wrote so far.
package fileop
