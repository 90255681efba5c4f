package transfer

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// Options say how layers are compressed.
type Options struct {
	// Kind is "gzip", "zstd" or "" for none.
	Kind string
	// Level of the compressor; 0 is its default.
	Level int
	// Force compresses layers anew that are compressed already, such as those
	// of a pulled base image.
	Force bool
	// Watcher, if it is not nil, is shown each layer that has to be made.
	Watcher Watcher
}

// A Watcher reads layers while they are being made.
type Watcher interface {
	// Watch runs beside the making of a layer, and Compress waits for it. plain is the
	// layer as it was before, name the same for the same bytes. It is called concurrently.
	Watch(ctx context.Context, plain image.Descriptor, name string, g Growing)
}

// A Growing is a compressed layer while it is being made. It may be read from any
// goroutine.
type Growing interface {
	io.ReaderAt
	// Wait waits until there are n bytes, or all. It says how many there are and, once
	// they are all, describes the blob; before that the description is zero.
	Wait(ctx context.Context, n int64) (have int64, whole image.Descriptor, err error)
}

// ParseOptions reads the attributes compression, compression-level and
// force-compression of an output; fallback is the kind when none is named.
func ParseOptions(attrs map[string]string, fallback string) (Options, error) {
	o := Options{Kind: fallback}
	switch c := attrs["compression"]; c {
	case "":
	case "gzip", "zstd":
		o.Kind = c
	case "uncompressed":
		o.Kind = ""
	default:
		return o, fmt.Errorf("compression %q: %w: use uncompressed, gzip or zstd", c, errs.ErrUnsupported)
	}
	if l := attrs["compression-level"]; l != "" {
		n, err := strconv.Atoi(l)
		if err != nil || n < 0 || n > 22 || o.Kind == "gzip" && n > 9 {
			return o, fmt.Errorf("compression-level %q: %w", l, errs.ErrInvalid)
		}
		o.Level = n
	}
	if f := attrs["force-compression"]; f != "" {
		b, err := strconv.ParseBool(f)
		if err != nil {
			return o, fmt.Errorf("force-compression %q: %w", f, errs.ErrInvalid)
		}
		o.Force = b
	}
	return o, nil
}
