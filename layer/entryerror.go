package layer

import "strconv"

// entryError names the entry an error is about.
type entryError struct {
	path string
	err  error
}

func (e *entryError) Error() string { return show(e.path) + ": " + e.err.Error() }
func (e *entryError) Unwrap() error { return e.err }

// show quotes a name that could do something to a terminal.
func show(name string) string {
	if q := strconv.Quote(name); q != `"`+name+`"` {
		return q
	}
	return name
}
