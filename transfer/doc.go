// Package transfer prepares images for leaving the store: layers that are kept
// as trees are written out compressed, and what they became is remembered, so
// that the next push or save compresses nothing.
package transfer
