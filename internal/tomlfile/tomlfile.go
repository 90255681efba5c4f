// Package tomlfile reads TOML files; what is wrong in one is told with its line.
package tomlfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/mica-build/mica/errs"
)

// Decode reads raw, which is from file, into v. With strict a setting that v does not
// have is an error. Errors match errs.ErrInvalid and begin with file and line.
func Decode(file string, raw []byte, v any, strict bool) error {
	d := toml.NewDecoder(bytes.NewReader(raw))
	if strict {
		d.DisallowUnknownFields()
	}
	err := d.Decode(v)
	if err == nil {
		return nil
	}
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		line, _ := unknown.Errors[0].Position()
		return fmt.Errorf("%s:%d: there is no setting %q: %w", file, line, strings.Join(unknown.Errors[0].Key(), "."), errs.ErrInvalid)
	}
	var at *toml.DecodeError
	if errors.As(err, &at) {
		line, column := at.Position()
		return fmt.Errorf("%s:%d:%d: %w: %w", file, line, column, errs.ErrInvalid, err)
	}
	return fmt.Errorf("%s: %w: %w", file, errs.ErrInvalid, err)
}
