// Package progress shows a build while it runs, in the ways that docker's users
// and the programs around docker know: a live view on a terminal, plain lines,
// the raw status as JSON lines, or nothing.
//
// [New] starts a [Display]; its Update takes the statuses a build reports, and
// Close ends it. The drawing is BuildKit's progressui, which also reads the
// environment variables NO_COLOR, BUILDKIT_COLORS, BUILDKIT_TTY_LOG_LINES and
// PROGRESS_NO_TRUNC.
package progress
