// Package op is what the steps of a build do: run a process (exec), copy and
// make files (file), fetch images, git repositories, URLs and local
// directories (sources), stack trees (merge, diff).
//
// World holds what the steps work with, one for each build; World.Op makes the
// operation of a node for the solver. Every step that changes a tree does so
// in a draft layer of the store, on top of its input's layers, and publishes
// the draft when it succeeded; a failed or cancelled step leaves nothing.
package op
