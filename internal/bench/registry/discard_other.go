//go:build !linux

package main

import "errors"

// discard is for Linux.
func discard(int, int) (int, error) { return 0, errors.ErrUnsupported }
