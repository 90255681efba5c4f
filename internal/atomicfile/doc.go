// Package atomicfile writes files that are there whole or not at all, whenever
// the writing process dies.
package atomicfile
