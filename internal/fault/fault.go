// Package fault makes the system calls that publish something, and marks the
// instants around them: there a program that dies, or a disk that refuses, does
// the most harm.
//
// Tests set Hook, in a process of their own, to kill the process at a mark or to
// let the call fail. Otherwise Hook is nil and a mark costs a comparison.
package fault

import (
	"errors"
	"io/fs"
	"os"
)

// An Op is a kind of system call, or an instant within or behind one.
type Op string

// The marks.
const (
	OpRename   Op = "rename"
	OpAppend   Op = "append"
	OpTorn     Op = "torn" // half of what is appended is written
	OpTruncate Op = "truncate"
	OpUnlink   Op = "unlink"
	OpDone     Op = "done" // a call went well, and nobody has been told yet
)

// Hook is called with the path that a call is about to change. Its error is
// given back in place of the call's, except at OpDone. It is set by tests before
// anything else runs, and never by mica.
var Hook func(op Op, path string) error

// Point marks an instant.
func Point(op Op, path string) error {
	if Hook == nil {
		return nil
	}
	return Hook(op, path)
}

// Rename is os.Rename.
func Rename(from, to string) error {
	if err := Point(OpRename, to); err != nil {
		return err
	}
	err := os.Rename(from, to)
	if err == nil {
		_ = Point(OpDone, to)
	}
	return err
}

// Remove is os.Remove.
func Remove(path string) error {
	if err := Point(OpUnlink, path); err != nil {
		return err
	}
	err := os.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		_ = Point(OpDone, path)
	}
	return err
}

// WriteAt is f.WriteAt, for what is added to a file that others read.
func WriteAt(f *os.File, b []byte, off int64) error {
	if Hook == nil {
		_, err := f.WriteAt(b, off)
		return err
	}
	if err := Point(OpAppend, f.Name()); err != nil {
		return err
	}
	half := len(b) / 2
	if _, err := f.WriteAt(b[:half], off); err != nil {
		return err
	}
	if err := Point(OpTorn, f.Name()); err != nil {
		return err
	}
	_, err := f.WriteAt(b[half:], off+int64(half))
	if err == nil {
		_ = Point(OpDone, f.Name())
	}
	return err
}

// Truncate is f.Truncate.
func Truncate(f *os.File, size int64) error {
	if err := Point(OpTruncate, f.Name()); err != nil {
		return err
	}
	err := f.Truncate(size)
	if err == nil {
		_ = Point(OpDone, f.Name())
	}
	return err
}
