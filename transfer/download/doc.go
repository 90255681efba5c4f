// Package download brings layers from a registry into the store: large ones in parts
// over several connections, unpacked and verified while they arrive, and from where a
// process before stopped.
package download
