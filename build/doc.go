// Package build turns a Dockerfile and its context into an image.
//
// A Builder works on one store; Build carries out one Request. The life of a
// build: the context is found (contexts.go), the front end turns the
// Dockerfile into a graph (package frontend), the solver runs what is not in
// the cache (packages solve and op), the result is written as an image, an
// archive or files (package export). A build whose inputs are all as they were
// in an earlier one is answered from a memo, before any of that (memo.go).
//
// A Builder may be used concurrently; so may any number of processes on one
// store.
package build
