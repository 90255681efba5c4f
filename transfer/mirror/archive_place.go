package mirror

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content/archive"
	"github.com/mica-build/mica/image"
)

// An archiveSource is an archive that is read.
type archiveSource struct {
	*archive.Archive
	f *os.File // nil for a stream
}

// Resolve finds an image by name, or by the tag in its name; "" is the only one
// there is.
func (p *archiveSource) Resolve(ctx context.Context, name string) (image.Descriptor, error) {
	if name != "" {
		d, err := p.Archive.Resolve(ctx, name)
		for _, m := range p.Images() {
			if err != nil && slices.ContainsFunc(m.Names, func(n string) bool { return tagIn(n) == name }) {
				return m.Target, nil
			}
		}
		return d, err
	}
	var all []listed
	for _, m := range p.Images() {
		if len(m.Names) == 0 {
			all = append(all, listed{Target: m.Target})
		}
		for _, n := range m.Names {
			all = append(all, listed{n, m.Target})
		}
	}
	return only(ctx, p, all)
}

// Tags lists the names of all images.
func (p *archiveSource) Tags(context.Context) ([]string, error) {
	var names []string
	for _, m := range p.Images() {
		names = append(names, m.Names...)
	}
	return names, nil
}

// Referrers looks through the images.
func (p *archiveSource) Referrers(ctx context.Context, d digest.Digest) ([]image.Descriptor, error) {
	var listed []image.Descriptor
	for _, m := range p.Images() {
		listed = append(listed, m.Target)
	}
	return referrersAmong(ctx, p, listed, d)
}

// Close closes the file too.
func (p *archiveSource) Close() error {
	err := p.Archive.Close()
	if p.f != nil {
		err = errors.Join(err, p.f.Close())
	}
	return err
}

// An archiveTarget is an archive that is written, to a temporary file where it is
// to be a file.
type archiveTarget struct {
	*archive.Writer
	temp *os.File // nil for a stream, and after Commit
	path string
}

func newArchiveTarget(w io.Writer, temp *os.File, path string, o archive.WriterOptions) (Target, error) {
	a, err := archive.NewWriter(w, o)
	if err != nil {
		return nil, err
	}
	return &archiveTarget{Writer: a, temp: temp, path: path}, nil
}

// Refer lists d.
func (p *archiveTarget) Refer(ctx context.Context, _ string, _, d image.Descriptor) error {
	return p.Tag(ctx, "", d)
}

// Sibling is tag beside name.
func (p *archiveTarget) Sibling(name, tag string) string { return sibling(name, tag) }

// Commit ends the archive and gives it its name.
func (p *archiveTarget) Commit() error {
	err := p.Writer.Close()
	if p.temp == nil || err != nil {
		return err
	}
	if err := errors.Join(p.temp.Chmod(0o644), p.temp.Sync()); err != nil {
		return err
	}
	return os.Link(p.temp.Name(), p.path) // not over something that came meanwhile
}

// Close removes the temporary file.
func (p *archiveTarget) Close() error {
	if p.temp == nil {
		return nil
	}
	err := errors.Join(p.temp.Close(), os.Remove(p.temp.Name()))
	p.temp = nil
	return err
}
