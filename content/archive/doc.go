// Package archive reads and writes images as tar files: what docker save writes
// and docker load reads.
//
// Open reads all forms in use: OCI layouts in a tar, docker's manifest.json,
// and the layout of docker before 1.10 (repositories, with a directory for each
// layer), plain or compressed. An Archive is a content.ReadOnly with a list of
// its Images; manifests that the older forms lack are made up while reading.
//
// A Writer takes blobs and names and writes a tar that is both an OCI layout
// and docker's form (Write does so for whole images). The bytes depend on the
// content alone: entries carry no time and no owner.
//
// Archives may be hostile: nothing is unpacked, names in the tar are only looked
// up, and what is read into memory is bounded.
//
// Sources: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md,
// https://github.com/moby/docker-image-spec/blob/main/v1.2.md.
package archive
