// Package engine is mica for Go programs: open a store, then work on images
// with short methods that join the packages below.
//
// An image is a name, or several, for a manifest or an index in the store. Its
// ID is the digest of its config, as docker has it. Of an index the manifest for
// the engine's platform is shown; content that is not in the store is tolerated
// where an image is listed, and an error where it is read.
//
// Methods name images as a user types them: "app", "app:1.2",
// "host/app@sha256:…", or any unique prefix of an ID. A name that is not there
// is errs.ErrNotFound, a prefix of several ids errs.ErrInvalid, and what docker
// refuses without force errs.ErrConflict.
//
// An Engine is safe for concurrent use, and any number of processes may have
// engines on one store.
package engine
