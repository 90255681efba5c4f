package engine

import (
	"fmt"

	"github.com/mica-build/mica/errs"
)

// A refusal is an error in words that docker's users, and their scripts, know.
// It matches the sentinel kind without saying so.
type refusal struct {
	kind error
	text string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.kind }

func refuse(kind error, format string, args ...any) error {
	return &refusal{kind, fmt.Sprintf(format, args...)}
}

func noImage(name string) error { return refuse(errs.ErrNotFound, "No such image: %s", name) }

// badName says that a name does not parse.
func badName(name string, err error) error {
	return refuse(errs.ErrInvalid, "%q: %v", name, err)
}
