//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/layer"
)

// Unpack makes the layer tree of blob d (any compression), whose uncompressed
// tar must have diffID; a tree that is already there is returned as it is. One
// process does the work, others wait for it.
func (s *Store) Unpack(ctx context.Context, d image.Descriptor, diffID digest.Digest) (Layer, error) {
	l, err := s.LayerByDiffID(ctx, diffID)
	if err == nil || !errors.Is(err, errs.ErrNotFound) {
		return l, err
	}
	unlock, err := s.Lock(ctx, "unpack "+string(diffID))
	if err != nil {
		return Layer{}, fmt.Errorf("unpack %s: %w", d.Digest, err)
	}
	defer unlock()
	if l, err := s.LayerByDiffID(ctx, diffID); err == nil {
		return l, nil
	}
	l, err = s.unpack(ctx, d, diffID)
	if err != nil {
		return Layer{}, fmt.Errorf("unpack %s: %w", d.Digest, advise(err))
	}
	return l, nil
}

func (s *Store) unpack(ctx context.Context, d image.Descriptor, diffID digest.Digest) (Layer, error) {
	blob, err := s.Fetch(ctx, d)
	if err != nil {
		return Layer{}, err
	}
	defer blob.Close()
	draft, err := s.NewLayer(ctx)
	if err != nil {
		return Layer{}, err
	}
	defer draft.Discard()
	size, err := applyVerified(ctx, blob, draft.Dir, diffID)
	if err != nil {
		return Layer{}, err
	}
	return draft.CommitAs(ctx, diffID, size)
}

// applyVerified applies a layer blob to dir and checks both its digests: the
// blob's, which its reader does at the end, and the diffID. It gives the size of
// the uncompressed tar.
func applyVerified(ctx context.Context, blob io.Reader, dir string, diffID digest.Digest) (int64, error) {
	tar, _, err := layer.Decompress(blob)
	if err != nil {
		return 0, err
	}
	defer tar.Close()
	sum := &summer{r: tar, hash: diffID.Verifier()}
	if _, err := layer.Apply(ctx, sum, dir, layer.ApplyOptions{}); err != nil {
		return 0, err
	}
	for _, rest := range []io.Reader{sum, blob} {
		if _, err := io.Copy(io.Discard, rest); err != nil {
			return 0, err
		}
	}
	if !sum.hash.Verified() {
		return 0, fmt.Errorf("uncompressed content is not diff id %s, as the image config says: %w", diffID, errs.ErrDigest)
	}
	return sum.n, nil
}

// A summer counts and hashes what is read through it.
type summer struct {
	r    io.Reader
	hash digest.Verifier
	n    int64
}

func (s *summer) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	s.hash.Write(p[:n])
	return n, err
}
