// Package ref parses the names people give to images, by docker's rules:
// "x" is docker.io/library/x:latest, "host:5000/a/b@sha256:…" is what it says.
//
// A Ref is a value: compare it with ==, use it as a map key. Its String is the
// canonical form that stores, indexes and registries are asked with; Familiar
// is the short form that people read.
//
// Grammar and messages come from github.com/distribution/reference, the
// implementation that docker itself uses.
package ref
