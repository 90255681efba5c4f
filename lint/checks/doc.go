// Package checks has the checks that BuildKit makes of a Dockerfile, under
// BuildKit's names, from the linter's own look at the file: offline, with the
// place of the word in question, and fast enough for thousands of files. What a
// check needs to know of a base image it is told by lint.Input.Images.
//
// Each check is a file, listed in All, with its page in lint/pages.
//
// Source: https://docs.docker.com/reference/build-checks/, in our own words.
package checks
