package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

var _ content.ReadOnly = (*Archive)(nil)

// Options configure Open. The zero value works.
type Options struct {
	// TempDir is where an archive is kept that is compressed or a stream, as
	// large as it is when decompressed; "" is the system's.
	TempDir string
	// MaxBytes bounds that; 0 is no bound.
	MaxBytes int64
}

// An Image is one image, or one index, in an archive.
type Image struct {
	// Names are canonical references or bare tags; there may be none.
	Names  []string
	Target image.Descriptor
}

// An Archive is an open archive. It is safe for concurrent use.
type Archive struct {
	s      *spool
	images []Image
	made   map[digest.Digest][]byte // manifests and configs that are no file
	blobs  map[digest.Digest]string // files by digest where the name does not say it
	hashed map[string]digest.Digest // files, and "plain " + files, that were hashed
	room   int64                    // bytes that made may still take
}

// Bounds on what a hostile archive makes us keep.
const (
	maxImages = 5000
	maxMade   = 256 << 20
)

// Open reads what images r has. If r is an *os.File with a plain tar it is read
// in place and must stay open until Close; otherwise it is read to its end.
// Something that is no image archive is errs.ErrInvalid.
func Open(ctx context.Context, r io.Reader, o Options) (*Archive, error) {
	s, err := newSpool(ctx, r, o)
	if err != nil {
		return nil, fmt.Errorf("open image archive: %w", err)
	}
	a := &Archive{s: s, made: map[digest.Digest][]byte{}, blobs: map[digest.Digest]string{}, hashed: map[string]digest.Digest{}, room: maxMade}
	if err := a.read(ctx); err != nil {
		a.Close()
		return nil, fmt.Errorf("open image archive: %w", err)
	}
	return a, nil
}

// Close gives temporary files back.
func (a *Archive) Close() error { return a.s.close() }

// Images lists what is in the archive.
func (a *Archive) Images() []Image { return slices.Clone(a.images) }

// read tells the archive's form by the files in it.
func (a *Archive) read(ctx context.Context) error {
	for _, form := range []struct {
		file string
		read func(context.Context) error
	}{
		{"index.json", a.readLayout},
		{"manifest.json", a.readDocker},
		{"repositories", a.readLegacy},
	} {
		if _, ok := a.s.members[form.file]; ok {
			return form.read(ctx)
		}
	}
	return fmt.Errorf("it has neither index.json nor manifest.json nor repositories: %w", errs.ErrInvalid)
}

// Resolve finds an image by one of its names or its digest.
func (a *Archive) Resolve(_ context.Context, name string) (image.Descriptor, error) {
	for _, i := range a.images {
		if slices.Contains(i.Names, name) || i.Target.Digest.String() == name {
			return i.Target, nil
		}
	}
	return image.Descriptor{}, fmt.Errorf("image %q in archive: %w", name, errs.ErrNotFound)
}

// Fetch opens a blob.
func (a *Archive) Fetch(_ context.Context, d image.Descriptor) (io.ReadCloser, error) {
	if err := image.CheckDescriptor(d); err != nil {
		return nil, fmt.Errorf("image archive: %w", err)
	}
	if raw, ok := a.made[d.Digest]; ok {
		return content.Verify(io.NopCloser(bytes.NewReader(raw)), d), nil
	}
	r, err := a.s.find(a.file(d.Digest))
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	return content.Verify(io.NopCloser(r), d), nil
}

// file is the name of the file with a blob.
func (a *Archive) file(d digest.Digest) string {
	if name, ok := a.blobs[d]; ok {
		return name
	}
	return blobPath(d)
}

// add lists an image, or gives one that is listed another name.
func (a *Archive) add(d image.Descriptor, names ...string) error {
	i := slices.IndexFunc(a.images, func(i Image) bool { return i.Target.Digest == d.Digest })
	if i < 0 && len(a.images) >= maxImages {
		return fmt.Errorf("more than %d images: %w", maxImages, errs.ErrTooLarge)
	}
	if i < 0 {
		i = len(a.images)
		a.images = append(a.images, Image{Target: d})
	}
	for _, n := range names {
		if n != "" && !slices.Contains(a.images[i].Names, n) {
			a.images[i].Names = append(a.images[i].Names, n)
		}
	}
	return nil
}

// keep stores bytes that are no file of the archive.
func (a *Archive) keep(mediaType string, raw []byte) (image.Descriptor, error) {
	d := image.NewDescriptor(mediaType, raw)
	if _, ok := a.made[d.Digest]; ok {
		return d, nil
	}
	if a.room -= d.Size; a.room < 0 {
		return d, fmt.Errorf("more than %d bytes of metadata: %w", int64(maxMade), errs.ErrTooLarge)
	}
	a.made[d.Digest] = raw
	return d, nil
}

func isNotFound(err error) bool { return errors.Is(err, errs.ErrNotFound) }
