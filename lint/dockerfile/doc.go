// Package dockerfile is a Dockerfile as a linter looks at it: the builder's own
// parse of it, with the place of every word in the file.
//
// Parse gives a File: its instructions, the stages they form, its comments. What
// an instruction says is Text: a string made of one or more pieces of the file
// (continued lines are joined, comments between them dropped) that can tell the
// line and column of each of its bytes. So a finding about one package name in a
// RUN of forty lines points at that name.
//
// Where an instruction begins and ends, its heredocs and its form are what
// BuildKit's parser says, the one that mica builds with; a file without FROM
// parses too, since people lint fragments. A File is read-only once made and may
// be shared by goroutines.
package dockerfile
