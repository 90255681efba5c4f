//go:build !lead

package build

import (
	"context"

	"github.com/mica-build/mica/build/export"
	"github.com/mica-build/mica/errs"
)

func (s *session) exportArchive(context.Context, output, *export.Image) error {
	return errs.ErrUnsupported
}
