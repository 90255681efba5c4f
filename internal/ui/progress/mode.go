package progress

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mica-build/mica/errs"
)

// A Mode is a way to show progress.
type Mode string

// The modes, as docker spells them.
const (
	Auto    Mode = "auto"    // TTY where the output is a terminal, Plain elsewhere
	TTY     Mode = "tty"     // a live view; an error where the output is no terminal
	Plain   Mode = "plain"   // a line for each event
	RawJSON Mode = "rawjson" // each status as one line of JSON
	Quiet   Mode = "quiet"   // nothing; the caller says what failed
	None    Mode = "none"    // nothing at all
)

// modes lists all modes in the order help shows them.
var modes = []Mode{Auto, TTY, Plain, RawJSON, Quiet, None}

// ParseMode reads a mode; "" is Auto. Errors match errs.ErrInvalid.
func ParseMode(s string) (Mode, error) {
	if s == "" {
		return Auto, nil
	}
	if m := Mode(s); slices.Contains(modes, m) {
		return m, nil
	}
	return "", fmt.Errorf("progress mode %q: %w: it is one of %s", s, errs.ErrInvalid, Names())
}

// Names lists the modes for a help text: "auto, tty, plain, ...".
func Names() string {
	names := make([]string, len(modes))
	for i, m := range modes {
		names[i] = string(m)
	}
	return strings.Join(names, ", ")
}
