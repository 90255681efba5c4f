// Package crashtest kills mica, again and again, and looks at what is left.
//
// Its tests run several processes on one store: they build, tag, import, pull
// and prune, and print what was acknowledged to them. They are killed at random
// instants and at random fault points (package fault), their disk gets full, and
// system calls are refused as on a read-only or full disk. Then the store is
// checked: nothing is damaged, and everything acknowledged is there.
//
// How often is for flags to say: go test ./internal/crashtest -kills 5000. What
// a failure needs to be repeated is in its message: -seed.
package crashtest
