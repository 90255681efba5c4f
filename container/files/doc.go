// Package files moves files out of a container's root and into it, as docker cp, export
// and diff do.
//
// The root belongs to somebody who may change it at any time: a path is looked up
// confined to the root, and what is found below it is opened without following links.
package files
