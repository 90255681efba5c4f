package transfer

import (
	"fmt"
	"strconv"

	"github.com/mica-build/mica/errs"
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
