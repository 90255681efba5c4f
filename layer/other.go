//go:build !linux

package layer

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/mica-build/mica/errs"
)

// errOS: trees in overlay form need Linux; the codecs work everywhere.
var errOS = fmt.Errorf("layer trees on %s: %w", runtime.GOOS, errs.ErrUnsupported)

func diff(context.Context, io.Writer, string, DiffOptions) error { return errOS }

func diffUnbuffered(context.Context, io.Writer, string, DiffOptions) error { return errOS }

func settle(context.Context, string, []string) error { return errOS }

func apply(context.Context, io.Reader, string, ApplyOptions) (Stats, error) { return Stats{}, errOS }

// Spread does nothing here.
func Spread(string) error { return nil }
