package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/export"
	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/atomicfile"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/transfer"
)

// export writes the targets to every output.
func (s *session) export(ctx context.Context, ts []export.Target, multi bool) (*Result, error) {
	res := &Result{Metadata: map[string]any{}}
	for _, o := range s.outs {
		if err := s.exportTo(ctx, o, ts, multi, res); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	res.Warnings = slices.Clone(s.warnings)
	s.mu.Unlock()
	return res, nil
}

func (s *session) exportTo(ctx context.Context, o output, ts []export.Target, multi bool, res *Result) error {
	if o.epoch != nil {
		ts = slices.Clone(ts)
		for i := range ts {
			ts[i].Epoch = o.epoch.t
		}
	}
	switch o.Type {
	case "cacheonly":
		return nil
	case "local":
		return s.progress.Step("exporting to client directory", func(digest.Digest) error {
			return export.Local(ctx, s.view, ts, export.LocalOptions{Dest: o.Dest, Split: o.splits(multi), Delete: o.remove})
		})
	case "tar":
		return s.progress.Step("exporting to client tarball", func(digest.Digest) error {
			return s.writeTo(o.Dest, func(w io.Writer) error { return export.Tar(ctx, s.view, ts, w, o.splits(multi)) })
		})
	}
	var img *export.Image
	err := s.progress.Step(exportingImage, func(d digest.Digest) (err error) {
		if img, err = s.exportImage(ctx, o, ts, multi, res); err == nil {
			s.announce(d, res.ImageID, res.Names)
		}
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case o.Type == "oci" || o.Type == "docker" && o.Dest != "":
		return s.progress.Step("exporting to "+o.Type+" archive", func(digest.Digest) error { return s.exportArchive(ctx, o, img, res) })
	case o.push:
		return s.push(ctx, o, img, res)
	}
	return nil
}

// exportingImage is the step that makes the image, as docker calls it.
const exportingImage = "exporting to image"

// announce says under the step d what image was made and how it is called.
func (s *session) announce(d, id digest.Digest, names []string) {
	now := time.Now()
	s.progress.Status(d, "writing image "+id.String(), 0, 0, now, true)
	for _, n := range names {
		s.progress.Status(d, "naming to "+n, 0, 0, now, true)
	}
}

// exportImage assembles the image and, unless it goes into an archive, names it
// in the store.
func (s *session) exportImage(ctx context.Context, o output, ts []export.Target, multi bool, res *Result) (*export.Image, error) {
	img, err := export.Assemble(ctx, s.store, ts, export.ImageOptions{
		Docker: o.docker, Index: multi || o.annotations.NeedsIndex(), RewriteTimes: o.rewrite, SetTimes: o.set,
		Annotations: o.annotations, Blobs: s.images.blobs(), Fetch: s.images.fetchBlob, Step: s.solver.Steps.Of,
	})
	if err != nil {
		return nil, err
	}
	if len(img.Configs) == 1 {
		res.ImageID = img.Configs[0].Digest
	} else {
		res.ImageID = img.Root.Digest
	}
	for _, rf := range o.names {
		if n := rf.String(); !slices.Contains(res.Names, n) {
			res.Names = append(res.Names, n)
		}
	}
	s.describe(res, img, img.Root)
	if o.Type == "image" && o.Attrs["store"] != "false" || o.Type == "docker" && o.Dest == "" {
		return img, s.name(ctx, o.names, img.Root)
	}
	return img, nil
}

// name gives root its names in the store; without one it is kept as a dangling
// image, as docker does.
func (s *session) name(ctx context.Context, names []ref.Ref, root image.Descriptor) error {
	root = image.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size, Platform: root.Platform}
	if len(names) == 0 {
		return s.store.Tag(ctx, "", root)
	}
	for _, rf := range names {
		if d, err := s.store.Resolve(ctx, rf.String()); err == nil && d.Digest == root.Digest {
			continue // nothing to write, as after a build that was cached whole
		}
		if err := s.store.Tag(ctx, rf.String(), root); err != nil {
			return err
		}
	}
	return nil
}

// describe fills in the result and the metadata file's keys. root is the image
// as it went out: compressed, it has another digest than in the store.
func (s *session) describe(res *Result, img *export.Image, root image.Descriptor) {
	m := res.Metadata
	root.Annotations = img.Annotations
	res.Descriptor, res.Digest = root, root.Digest
	m["containerimage.digest"] = root.Digest.String()
	m["containerimage.descriptor"] = root
	if len(img.Configs) == 1 {
		m["containerimage.config.digest"] = img.Configs[0].Digest.String()
	}
	if len(res.Names) > 0 {
		m["image.name"] = strings.Join(res.Names, ",")
	}
}

func copyNamed(ctx context.Context, dst interface {
	content.Pusher
	content.Tagger
}, src content.Fetcher, root image.Descriptor, names []string,
) error {
	if _, err := content.Copy(ctx, dst, src, root, content.CopyOptions{Foreign: true}); err != nil {
		return err
	}
	if len(names) == 0 {
		return dst.Tag(ctx, "", root)
	}
	for _, n := range names {
		if err := dst.Tag(ctx, n, root); err != nil {
			return err
		}
	}
	return nil
}

// push sends the image to the registry of each of its names.
func (s *session) push(ctx context.Context, o output, img *export.Image, res *Result) error {
	if s.b.o.Registry == nil {
		return fmt.Errorf("push: %w: no registry can be reached", errs.ErrUnsupported)
	}
	opts := o.compress
	if opts.Kind == "" && o.Attrs["compression"] == "" {
		opts.Kind = "gzip"
	}
	for _, rf := range o.names {
		err := s.progress.Step("pushing "+rf.String(), func(digest.Digest) error {
			root, err := transfer.Compress(ctx, s.store, img.Root, opts)
			if err != nil {
				return err
			}
			repo, err := s.b.o.Registry(rf)
			if err != nil {
				return err
			}
			if _, err := content.Copy(ctx, repo, s.store, root, content.CopyOptions{}); err != nil {
				return err
			}
			s.describe(res, img, root)
			if o.byDigest {
				return nil
			}
			return repo.Tag(ctx, rf.Identifier(), root)
		})
		if err != nil {
			return fmt.Errorf("push %s: %w", rf.Familiar(), err)
		}
	}
	return nil
}

// writeTo opens dest for write: a file that appears whole or not at all, or
// standard output.
func (s *session) writeTo(dest string, write func(io.Writer) error) error {
	if dest == "" || dest == "-" {
		if s.r.Stdout == nil {
			return errors.New("no standard output to write to: give dest=FILE")
		}
		return write(s.r.Stdout)
	}
	if st, err := os.Stat(dest); err == nil && st.IsDir() {
		return fmt.Errorf("dest %s is a directory: name a file in it", dest)
	}
	if st, err := os.Stat(dest); err == nil && !st.Mode().IsRegular() { // a pipe or device
		f, err := os.OpenFile(dest, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		return write(f)
	}
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return err
	}
	return atomicfile.Stream(dest, atomicfile.Options{}, write)
}

// view mounts a target's files.
func (s *session) view(ctx context.Context, t export.Target) (*os.File, func(), error) {
	return s.world.Open(ctx, solve.Value{Layers: t.Layers})
}
