// Package transfer shows blobs on their way: as bars with speed and time left on a
// terminal, as lines elsewhere, or as JSON.
package transfer
