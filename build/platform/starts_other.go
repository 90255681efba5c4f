//go:build !linux

package platform

func starts(string) bool { return false }
