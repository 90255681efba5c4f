// Package errs holds the sentinel errors that callers branch on.
//
// Every other error in mica is a plain wrapped error: operation, object, cause.
// Test for these with errors.Is; a package that returns one documents it.
package errs

import "errors"

var (
	// ErrNotFound says that the named object does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists says that an object is already there and was not replaced.
	ErrExists = errors.New("already exists")
	// ErrConflict says that the object is in use or referred to by others.
	ErrConflict = errors.New("conflict")
	// ErrInvalid says that input does not follow its format or grammar.
	ErrInvalid = errors.New("invalid")
	// ErrUnsupported says that mica, or this machine, cannot do what was asked.
	ErrUnsupported = errors.New("unsupported")
	// ErrUnauthorized says that a registry refused the credentials, or that there were none.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrDigest says that bytes do not have the digest or size they were announced with.
	ErrDigest = errors.New("digest mismatch")
	// ErrTooLarge says that input is over a stated limit.
	ErrTooLarge = errors.New("too large")
)
