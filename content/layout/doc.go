// Package layout reads and writes OCI image layouts: directories with
// oci-layout, index.json and blobs/ALGORITHM/DIGEST.
//
// Open opens one that is there, Create makes one. A Layout is a content.Store:
// names are whole references ("docker.io/library/x:latest") or bare tags, kept
// in index.json as the annotations that docker, containerd and skopeo use.
//
// Blobs and index.json appear whole or not at all, and any number of goroutines
// and (where there is flock) processes may write to one layout at once.
//
// Source: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
package layout
