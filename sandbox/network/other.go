//go:build !linux

package network

// A Bridge exists on Linux only.
type Bridge struct{}
