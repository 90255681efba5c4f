//go:build linux

package container

import (
	"context"
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/safepath"
	"github.com/mica-build/mica/sandbox"
	"github.com/mica-build/mica/snapshot"
	"github.com/mica-build/mica/store"
)

// A Runner runs images of a store. All fields are needed.
type Runner struct {
	Store   *store.Store
	Mounter snapshot.Mounter
	// Sandbox runs the prepared container and waits for its end.
	Sandbox func(ctx context.Context, s *sandbox.Spec) error
}

// Run runs the image with these layers, bottom first, and this config, and waits
// for its end. A process that ends with a code other than 0 is a *sandbox.ExitError.
func (r *Runner) Run(ctx context.Context, layers []image.Descriptor, c image.Config, o Options) (err error) {
	spec, err := o.spec(c)
	if err != nil {
		return err
	}
	lower, err := r.unpack(ctx, layers, c.RootFS.DiffIDs)
	if err != nil {
		return err
	}
	var trees trees
	defer func() {
		if cerr := trees.close(); err == nil {
			err = cerr
		}
	}()
	root, err := trees.root(ctx, r, lower, o.Layer)
	if err != nil {
		return fmt.Errorf("mount root: %w", err)
	}
	if o.Mounted != nil {
		if err := o.Mounted(root.File()); err != nil {
			return err
		}
	}
	if err := makeDir(root.File(), spec.Dir); err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	spec.Root = root.File()
	for _, v := range o.volumes(c) {
		if err := r.volume(ctx, &trees, spec, lower, v); err != nil {
			return fmt.Errorf("volume %s: %w", v, err)
		}
	}
	return r.Sandbox(ctx, spec)
}

// unpack gives the directories of the image's layers, bottom first.
func (r *Runner) unpack(ctx context.Context, layers []image.Descriptor, ids []digest.Digest) ([]string, error) {
	if len(ids) != len(layers) {
		return nil, fmt.Errorf("image has %d layers and %d diff ids: %w", len(layers), len(ids), errs.ErrInvalid)
	}
	trees, err := r.Store.UnpackStack(ctx, layers, ids)
	if err != nil {
		return nil, err
	}
	lower := make([]string, len(ids))
	for i, l := range trees {
		lower[i] = l.Dir
	}
	return lower, nil
}

// volume makes dir writable. What is under it in the image is in the volume too.
//
// A root that can be written to is as good as a volume, since both are thrown
// away; otherwise the volume is that directory of a second, writable root.
func (r *Runner) volume(ctx context.Context, trees *trees, spec *sandbox.Spec, lower []string, dir string) error {
	if !spec.ReadonlyRoot {
		return makeDir(spec.Root, dir)
	}
	t, err := trees.add(ctx, r, lower)
	if err != nil {
		return err
	}
	if err := makeDir(t.File(), dir); err != nil {
		return err
	}
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Kind: sandbox.Bind, Target: dir, SourceFile: t.File(), Subpath: dir})
	return nil
}

// makeDir makes dir in root, as docker does for what a config names.
func makeDir(root *os.File, dir string) error {
	f, err := safepath.MkdirAll(root, dir, 0o755, nil)
	if err != nil {
		return err
	}
	return f.Close()
}

// trees are the mounted roots of one container, each with the draft it writes to.
type trees struct {
	mounted []*snapshot.Tree
	kept    *snapshot.Tree // the one of them whose layer is not a draft
	drafts  []*store.Draft
}

// root stacks lower under the layer that is kept, or a new, empty one.
func (t *trees) root(ctx context.Context, r *Runner, lower []string, kept *Layer) (*snapshot.Tree, error) {
	if kept == nil {
		return t.add(ctx, r, lower)
	}
	tree, err := r.Mounter.Mount(ctx, snapshot.Request{Lower: lower, Upper: kept.Upper, Work: kept.Work})
	if err != nil {
		return nil, err
	}
	t.mounted, t.kept = append(t.mounted, tree), tree
	return tree, nil
}

// add stacks lower under a new, empty layer.
func (t *trees) add(ctx context.Context, r *Runner, lower []string) (*snapshot.Tree, error) {
	d, err := r.Store.NewLayer(ctx)
	if err != nil {
		return nil, err
	}
	t.drafts = append(t.drafts, d)
	tree, err := r.Mounter.Mount(ctx, snapshot.Request{Lower: lower, Upper: d.Dir, Work: d.Work, Volatile: true})
	if err != nil {
		return nil, err
	}
	t.mounted = append(t.mounted, tree)
	return tree, nil
}

// close unmounts everything and throws away what was written to drafts.
func (t *trees) close() error {
	var first error
	if t.kept != nil {
		first = t.kept.Settle()
	}
	for _, m := range t.mounted {
		if err := m.Close(); first == nil {
			first = err
		}
	}
	for _, d := range t.drafts {
		if err := d.Discard(); first == nil {
			first = err
		}
	}
	return first
}
