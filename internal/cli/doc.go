// Package cli is mica's command line: docker's verbs and flags over package
// engine. There is a file for each verb, with newXCmd that wires it, xOptions
// that holds its flags, and runX that does it.
//
// Results go to stdout; warnings, questions and errors to stderr. The exit code
// is 0 for success, 1 for an error of the command, 125 for flags mica does not
// know (and whatever keeps a container from starting), 128+N after signal N, and
// the container's own code for run.
package cli
