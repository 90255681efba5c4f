// Package jsonlog writes and reads a container's output in the format of docker's
// json-file driver: one line of JSON, with stream and time, for each line of output.
//
// A [Log] is written by the process that keeps the container; [Read] may read it at the
// same time, also while files are rotated: log, log.1, log.2 and so on, the oldest last.
package jsonlog
