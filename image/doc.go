// Package image is the vocabulary of container images: descriptors, manifests,
// indexes, configs and platforms, as the OCI image specification and docker
// define them, with the checks that make decoded input safe to use.
//
// Everything here is a plain value; functions are safe for concurrent use.
//
// Sources: https://github.com/opencontainers/image-spec (v1.1),
// https://github.com/moby/docker-image-spec.
package image
