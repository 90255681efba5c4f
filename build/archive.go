package build

import (
	"context"
	"fmt"
	"io"

	"github.com/mica-build/mica/build/export"
	"github.com/mica-build/mica/content/archive"
	"github.com/mica-build/mica/content/layout"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/transfer"
)

// exportArchive writes the image as one tar, or as a layout directory.
func (s *session) exportArchive(ctx context.Context, o output, img *export.Image, res *Result) error {
	root, err := transfer.Compress(ctx, s.store, img.Root, o.compress)
	if err != nil {
		return err
	}
	root.Annotations = img.Annotations
	s.describe(res, img, root)
	names := make([]string, len(o.names))
	for i, rf := range o.names {
		names[i] = rf.String()
	}
	if o.Attrs["tar"] == "false" {
		if o.Type != "oci" || o.Dest == "" || o.Dest == "-" {
			return fmt.Errorf("tar=false: %w: it goes with type=oci and a dest directory", errs.ErrInvalid)
		}
		l, err := layout.Create(o.Dest)
		if err != nil {
			return err
		}
		return copyNamed(ctx, l, s.store, root, names)
	}
	return s.writeTo(o.Dest, func(w io.Writer) error {
		img := archive.Image{Names: names, Target: root}
		return archive.Write(ctx, w, s.store, []archive.Image{img}, archive.WriterOptions{OCIOnly: o.Type == "oci"})
	})
}
