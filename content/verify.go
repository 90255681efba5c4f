package content

import (
	"context"
	_ "crypto/sha256" // digests of blobs
	_ "crypto/sha512" // digests of blobs
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// Verify reads r and reports io.EOF only if what was read is d; it stops with
// errs.ErrDigest at the first byte too many, a missing byte or a wrong digest.
// Closing closes r. A descriptor that is invalid fails on the first Read.
func Verify(r io.ReadCloser, d image.Descriptor) io.ReadCloser {
	v := &verifier{ReadCloser: r, d: d}
	if v.err = image.CheckDescriptor(d); v.err == nil {
		v.hash = d.Digest.Verifier()
	}
	return v
}

// Verified is r if it verifies d already, as what Fetch gives does, and r under
// Verify otherwise: a Pusher that uses it hashes nothing twice. Closing is left
// to whoever opened r.
func Verified(r io.Reader, d image.Descriptor) io.Reader {
	if v, ok := r.(interface{ verifies(image.Descriptor) bool }); ok && v.verifies(d) {
		return r
	}
	return Verify(io.NopCloser(r), d)
}

type verifier struct {
	io.ReadCloser
	d    image.Descriptor
	hash digest.Verifier
	n    int64
	err  error // sticky
}

// verifies says whether all of d is still to be read here.
func (v *verifier) verifies(d image.Descriptor) bool {
	return v.n == 0 && v.d.Digest == d.Digest && v.d.Size == d.Size
}

// Read gives the last bytes only once the verdict is in, so that a caller who
// stops at the size has verified bytes too.
func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.ReadCloser.Read(p)
	v.n += int64(n)
	for err == nil && v.n == v.d.Size {
		var more [1]byte
		var m int
		m, err = v.ReadCloser.Read(more[:])
		v.n += int64(m)
	}
	if v.n > v.d.Size {
		v.err = fmt.Errorf("blob %s: more than its %d bytes: %w", v.d.Digest, v.d.Size, errs.ErrDigest)
		return 0, v.err
	}
	_, _ = v.hash.Write(p[:n]) // a hash does not fail
	if errors.Is(err, io.EOF) {
		err = v.end()
		if err != io.EOF {
			n = 0
		}
	}
	v.err = err
	return n, err
}

// end decides, when the stream is over, whether it was the blob.
func (v *verifier) end() error {
	switch {
	case v.n != v.d.Size:
		return fmt.Errorf("blob %s: %d bytes of %d: %w", v.d.Digest, v.n, v.d.Size, errs.ErrDigest)
	case !v.hash.Verified():
		return fmt.Errorf("blob %s: the bytes are others: %w", v.d.Digest, errs.ErrDigest)
	}
	return io.EOF
}

// ReadAll reads the manifest, index or config d whole. Something larger than
// image.MaxMetadata is errs.ErrTooLarge and is not fetched.
func ReadAll(ctx context.Context, f Fetcher, d image.Descriptor) ([]byte, error) {
	if d.Size > image.MaxMetadata {
		return nil, fmt.Errorf("read %s: %d bytes, limit %d: %w", d.Digest, d.Size, image.MaxMetadata, errs.ErrTooLarge)
	}
	rc, err := f.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	raw, err := io.ReadAll(io.LimitReader(Verify(rc, d), image.MaxMetadata+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.Digest, err)
	}
	return raw, nil
}
