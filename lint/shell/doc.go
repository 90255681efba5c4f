// Package shell is a shell script as rules about RUN look at it: the commands it
// calls, with their arguments and flags, each with its place in the Dockerfile.
//
// Parse reads a script with mvdan.cc/sh as Bash, which is a superset of what
// other shells would read; what they would not is the matter of package script.
// A script that does not parse still has the commands before the error. A Script
// is read-only.
package shell
