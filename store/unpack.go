//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/layer"
)

// Unpack makes the layer tree of blob d (any compression), whose uncompressed
// tar must have diffID; a tree that is already there is returned as it is. One
// process does the work, others wait for it.
//
// The layer is unpacked without regard to those below it. One with a hard link
// into them is a *layer.MissingLinkError: use UnpackOn, or UnpackStack, which also
// give directories that the tar uses but does not describe the look of those below.
func (s *Store) Unpack(ctx context.Context, d image.Descriptor, diffID digest.Digest) (Layer, error) {
	u := unpacking{blob: d, diffID: diffID}
	return s.unpackOnce(ctx, u)
}

// UnpackOn is Unpack for a layer that lies on parents, the bottom one first.
// Only if that makes a difference the tree is one of its own for these parents.
func (s *Store) UnpackOn(ctx context.Context, d image.Descriptor, diffID digest.Digest, parents []LayerID) (Layer, error) {
	u := unpacking{blob: d, diffID: diffID}
	l, err := s.unpackOnce(ctx, u)
	var missing *layer.MissingLinkError
	if err != nil && !errors.As(err, &missing) {
		return l, err
	}
	for _, id := range parents {
		p, err := s.Layer(ctx, id)
		if err != nil {
			return Layer{}, fmt.Errorf("unpack %s: %w", d.Digest, err)
		}
		u.parents = append(u.parents, p.Dir)
	}
	if missing != nil {
		return s.unpackOnce(ctx, u)
	}
	fits, err := s.fits(l, u.parents)
	if err != nil {
		return Layer{}, fmt.Errorf("unpack %s: %w", d.Digest, err)
	}
	if fits {
		return l, nil
	}
	u.on = hashName(fmt.Sprint(parents))
	return s.unpackOnce(ctx, u)
}

// UnpackStack unpacks the layers of an image, the bottom one first, in parallel,
// and gives their trees. diffIDs are those of the image's config.
func (s *Store) UnpackStack(ctx context.Context, layers []image.Descriptor, diffIDs []digest.Digest) ([]Layer, error) {
	if len(layers) != len(diffIDs) {
		return nil, fmt.Errorf("unpack image: %d layers and %d diff ids: %w", len(layers), len(diffIDs), errs.ErrInvalid)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0) + 1)
	for i, d := range layers {
		g.Go(func() error {
			_, err := s.Unpack(gctx, d, diffIDs[i])
			if missing := (*layer.MissingLinkError)(nil); errors.As(err, &missing) {
				return nil // below
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := make([]Layer, 0, len(layers))
	var ids []LayerID
	for i, d := range layers {
		l, err := s.UnpackOn(ctx, d, diffIDs[i], ids)
		if err != nil {
			return nil, err
		}
		out, ids = append(out, l), append(ids, l.ID)
	}
	return out, nil
}

// An unpacking is the work to make one tree.
type unpacking struct {
	blob    image.Descriptor
	diffID  digest.Digest
	parents []string // trees below, if they matter
	on      string   // what the index has the tree under beside the diffID
}

// find looks the tree up and pins it.
func (s *Store) findUnpacked(ctx context.Context, u unpacking) (Layer, error) {
	var l Layer
	err := s.find(ctx, func() ([]string, error) {
		x, err := s.lookUp(u.diffID, u.on)
		if err != nil {
			return nil, err
		}
		l = x.layer()
		return []string{pinLayer(x.ID)}, nil
	})
	return l, err
}

func (s *Store) unpackOnce(ctx context.Context, u unpacking) (Layer, error) {
	l, err := s.findUnpacked(ctx, u)
	if err == nil {
		return l, nil
	}
	if errors.Is(err, errs.ErrNotFound) {
		l, err = s.unpackLocked(ctx, u)
	}
	if err != nil {
		return Layer{}, fmt.Errorf("unpack %s: %w", u.blob.Digest, advise(err))
	}
	return l, nil
}

// UnpackIncoming is Unpack of a blob that is still coming, which it makes one of the
// store on the way. The blob is there afterwards even if the layer does not stand
// alone (*layer.MissingLinkError).
func (s *Store) UnpackIncoming(ctx context.Context, in *Incoming, diffID digest.Digest) (Layer, error) {
	l, err := s.unpackIncoming(ctx, in, unpacking{blob: in.d, diffID: diffID})
	if err != nil {
		return Layer{}, fmt.Errorf("unpack %s: %w", in.d.Digest, advise(err))
	}
	return l, nil
}

func (s *Store) unpackIncoming(ctx context.Context, in *Incoming, u unpacking) (Layer, error) {
	unlock, err := s.Lock(ctx, "unpack "+string(u.diffID)+" "+u.on)
	if err != nil {
		return Layer{}, err
	}
	defer unlock()
	if l, err := s.findUnpacked(ctx, u); err == nil {
		return l, in.finish(ctx)
	}
	draft, err := s.NewLayer(ctx)
	if err != nil {
		return Layer{}, err
	}
	defer draft.Discard()
	m, err := u.apply(ctx, in.Reader(ctx), draft.Dir)
	if err != nil {
		// What cannot be unpacked may be the wrong bytes: then that is the error.
		if ferr := in.finish(ctx); ferr != nil {
			return Layer{}, ferr
		}
		return Layer{}, err
	}
	if err := in.Commit(ctx); err != nil {
		return Layer{}, err
	}
	return draft.commit(ctx, m)
}

func (s *Store) unpackLocked(ctx context.Context, u unpacking) (Layer, error) {
	unlock, err := s.Lock(ctx, "unpack "+string(u.diffID)+" "+u.on)
	if err != nil {
		return Layer{}, err
	}
	defer unlock()
	if l, err := s.findUnpacked(ctx, u); err == nil {
		return l, nil
	}
	blob, err := s.Fetch(ctx, u.blob)
	if err != nil {
		return Layer{}, err
	}
	defer blob.Close()
	draft, err := s.NewLayer(ctx)
	if err != nil {
		return Layer{}, err
	}
	defer draft.Discard()
	m, err := u.apply(ctx, blob, draft.Dir)
	if err != nil {
		return Layer{}, err
	}
	return draft.commit(ctx, m)
}

// apply unpacks the blob into dir and checks both its digests: the blob's, which
// its reader does at the end, and the diffID.
func (u unpacking) apply(ctx context.Context, blob io.Reader, dir string) (layerMeta, error) {
	tar, _, err := layer.Decompress(blob)
	if err != nil {
		return layerMeta{}, err
	}
	defer tar.Close()
	sum := &summer{r: tar, hash: u.diffID.Verifier()}
	stats, err := layer.Apply(ctx, sum, dir, layer.ApplyOptions{Parents: u.parents, NoOwner: layer.SingleID()})
	if err != nil {
		return layerMeta{}, err
	}
	for _, rest := range []io.Reader{sum, blob} {
		if _, err := io.Copy(io.Discard, rest); err != nil {
			return layerMeta{}, err
		}
	}
	if !sum.hash.Verified() {
		return layerMeta{}, fmt.Errorf("uncompressed content is not diff id %s, as the image config says: %w", u.diffID, errs.ErrDigest)
	}
	m := layerMeta{DiffID: u.diffID, Size: sum.n, On: u.on}
	if u.parents == nil {
		m.Implied = stats.Implied
	}
	return m, nil
}

// fits says whether the directories that l's tar does not describe look as they
// do in the topmost of the layers below that has them.
func (s *Store) fits(l Layer, below []string) (bool, error) {
	m, err := readMeta(filepath.Dir(l.Dir))
	if err != nil {
		return false, err
	}
	for _, dir := range m.Implied {
		same, err := looksLike(l.Dir, dir, below)
		if err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// looksLike compares mode and owner of the directory at the relative path name.
// A difference in attributes alone is too rare to be worth another tree.
func looksLike(tree, name string, below []string) (bool, error) {
	var st unix.Stat_t
	if err := lstatIn(tree, name, &st); err != nil {
		return false, err
	}
	for _, dir := range slices.Backward(below) {
		var b unix.Stat_t
		err := lstatIn(dir, name, &b)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			continue
		}
		if err != nil {
			return false, err
		}
		return b.Mode&unix.S_IFMT != unix.S_IFDIR || b.Mode == st.Mode && b.Uid == st.Uid && b.Gid == st.Gid, nil
	}
	return true, nil
}

// lstatIn looks at name below dir, through no symlink: a layer is foreign input.
func lstatIn(dir, name string, st *unix.Stat_t) error {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return &os.PathError{Op: "open", Path: filepath.Join(dir, name), Err: err}
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	return layer.Recorded(fd, ".", st)
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
