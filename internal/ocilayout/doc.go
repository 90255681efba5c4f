// Package ocilayout is what OCI image layouts have in common, in a directory or
// in a tar: the names of files, and the names of images in index.json.
//
// Source: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
package ocilayout
