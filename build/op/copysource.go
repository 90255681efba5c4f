package op

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/mica-build/mica/build/fileop"
	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/layer"
)

// copySource opens v as the tree that a copy into k takes path from. When all
// of it comes from one layer, that layer is opened rather than the stack, and
// its files are shared rather than copied.
func (w *World) copySource(ctx context.Context, k *work, v solve.Value, path string) (*fileop.Source, func(), error) {
	if v.Local != nil || strings.ContainsAny(path, `*?[\\`) {
		return w.source(ctx, v)
	}
	lowers, err := w.lowers(ctx, v)
	if err != nil {
		return nil, nil, err
	}
	dir, ok, err := layer.Sole(lowers, path)
	if err != nil {
		return nil, nil, err
	}
	// A file with two names in one stack would look like a hard link to the
	// steps on top of it.
	if !ok || slices.Contains(k.lowers, dir) {
		return w.source(ctx, v)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	return &fileop.Source{Dir: f, Immutable: true, Digests: w.digests(v)}, func() { f.Close() }, nil
}
