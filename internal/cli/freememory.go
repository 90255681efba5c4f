package cli

import "runtime/debug"

// freeMemory gives back what starting has needed: a monitor lives long and does little.
func freeMemory() { debug.FreeOSMemory() }
