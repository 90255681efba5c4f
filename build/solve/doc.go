// Package solve executes a build graph: it decodes LLB, gives every step its
// cache keys, looks the keys up in the store's records and runs what is not
// there, each step once, as soon as its inputs are ready.
//
// A Graph holds Nodes, one for each LLB vertex; the Solver resolves a Node to
// Values. What a node does is an Op, made by the Factory that the build
// package supplies; solve knows nothing of containers, files or registries.
//
// Keys. A step has a definition key, the hash of what it does and of its
// inputs' keys, and a content key, in which an input that the step only reads
// stands for the content it reads. A hit on either is a hit; a hit by content
// takes over the found record's result key, so that steps on top hit too.
//
// A Solver may be used by any number of goroutines. It never merges live
// nodes: equal vertices have equal digests and are one Node from the start.
package solve
