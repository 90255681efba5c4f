// Package build turns a Dockerfile and its context into an image.
//
// A Builder works on one store; Build carries out one Request. The life of a
// build: the context is found (contexts.go), the front end turns the
// Dockerfile into a graph (package frontend), the solver runs what is not in
// the cache (packages solve and op), the result is written as an image, an
// archive or files (package export). A build whose inputs are all as they were
// in an earlier one is answered from a memo, before any of that (memo.go).
//
// What a build did goes on record (journal.go, package history), which explains
// why steps ran (dryrun.go tells before) and keeps what a failed one left, for
// Builder.Shell.
//
// A Builder may be used concurrently; so may any number of processes on one
// store.
package build
