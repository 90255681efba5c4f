// Package mirror copies whole images from one place to another: what a name stands
// for with all its platforms, and with everything that refers to it, such as
// signatures, SBOMs and attestations.
//
// A Location says where: a registry, the local store, an OCI layout, an archive.
// Places opens it as a Source or a Target, Copy moves an image between the two.
// Between two registries blobs are streamed and never touch the disk. Sync keeps
// many repositories equal to others, as a Plan in a file says.
package mirror
