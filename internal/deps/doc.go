// Package deps holds the rule of which package may import which, as a test over
// a table with reasons. If it fails, move the code rather than the line.
package deps
