// Package memory keeps blobs and names in memory: for tests, and for small things
// on their way from one place to another.
package memory
