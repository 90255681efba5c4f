package source

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"github.com/mica-build/mica/errs"
)

// A gitError is git's failure and its last words.
type gitError struct {
	verb, said string
	err        error
}

func (e *gitError) Error() string {
	var lines []string
	for line := range strings.Lines(e.said) {
		line = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return -1
			}
			return r
		}, line)
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return fmt.Sprintf("git %s: %v", e.verb, e.err)
	}
	return fmt.Sprintf("git %s: %s", e.verb, strings.Join(lines, "; "))
}

// Unwrap gives git's exit, and errs.ErrUnauthorized where git was refused.
func (e *gitError) Unwrap() []error {
	if e.mentions("could not read Username", "could not read Password", "Authentication failed", "Permission denied", "The requested URL returned error: 403") {
		return []error{errs.ErrUnauthorized, e.err}
	}
	return []error{e.err}
}

func (e *gitError) mentions(phrases ...string) bool {
	for _, p := range phrases {
		if strings.Contains(e.said, p) {
			return true
		}
	}
	return false
}

// capped is a buffer that refuses to grow past its limit.
type capped struct {
	bytes.Buffer
	limit int
}

func (b *capped) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.limit {
		return 0, fmt.Errorf("output of git: %w", errs.ErrTooLarge)
	}
	return b.Buffer.Write(p)
}

// tail keeps the end of what is written to it.
type tail struct {
	buf   []byte
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.limit; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf) }
