package export

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/moby/buildkit/solver/pb"

	"github.com/mica-build/mica/build/fileop"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// LocalOptions say where the files of a build go.
type LocalOptions struct {
	Dest string
	// Split puts each target into a directory named by its platform.
	Split bool
	// Delete removes what else is in Dest.
	Delete bool
}

// Local copies the files of ts into a directory, owned by the caller. Without
// Split no file may come from two targets.
func Local(ctx context.Context, view Viewer, ts []Target, o LocalOptions) error {
	if err := os.MkdirAll(o.Dest, 0o755); err != nil {
		return err
	}
	if err := local(ctx, view, ts, o); err != nil {
		return fmt.Errorf("write files to %s: %w", o.Dest, err)
	}
	return nil
}

func local(ctx context.Context, view Viewer, ts []Target, o LocalOptions) error {
	trees := make([]localTree, len(ts))
	for i, t := range ts {
		src, done, err := view(ctx, t)
		if err != nil {
			return err
		}
		defer done()
		root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", src.Fd()))
		if err != nil {
			return err
		}
		defer root.Close()
		trees[i] = localTree{target: t, src: src, root: root}
		if o.Split {
			trees[i].sub = dirName(t.Platform)
		}
	}
	if !o.Split && len(ts) > 1 {
		if err := disjoint(trees); err != nil {
			return err
		}
	}
	for _, t := range trees {
		if err := t.copy(ctx, o.Dest); err != nil {
			return err
		}
	}
	if !o.Delete {
		return nil
	}
	dest, err := os.OpenRoot(o.Dest)
	if err != nil {
		return err
	}
	defer dest.Close()
	return prune(dest, ".", trees)
}

// localTree is the files of one target on their way to the directory sub.
type localTree struct {
	target Target
	src    *os.File
	root   *os.Root
	sub    string
}

func (t localTree) copy(ctx context.Context, dest string) error {
	dst, err := os.Open(dest)
	if err != nil {
		return err
	}
	defer dst.Close()
	stamp := int64(-1)
	if t.target.Epoch != nil {
		stamp = t.target.Epoch.UnixNano()
	}
	return fileop.Copy(ctx, dst, &fileop.Source{Dir: t.src}, &pb.FileActionCopy{
		Src: "/", Dest: "/" + t.sub, DirCopyContents: true, CreateDestPath: true, Mode: -1, Timestamp: stamp,
		AlwaysReplaceExistingDestPaths: true,
	}, &fileop.Owner{UID: os.Geteuid(), GID: os.Getegid()})
}

// has says whether name, relative to the destination, comes from t.
func (t localTree) has(name string) bool {
	if t.sub != "" {
		if name == t.sub {
			return true
		}
		var ok bool
		if name, ok = strings.CutPrefix(name, t.sub+"/"); !ok {
			return false
		}
	}
	_, err := t.root.Lstat(name)
	return err == nil
}

// disjoint checks that no file is in two trees.
func disjoint(trees []localTree) error {
	from := map[string]image.Platform{}
	for _, t := range trees {
		err := fs.WalkDir(t.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			if p, ok := from[name]; ok {
				return fmt.Errorf("%s is in %s and in %s, and platform-split is off: %w", name, dirName(p), dirName(t.target.Platform), errs.ErrConflict)
			}
			from[name] = t.target.Platform
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// prune removes what is below dir and in none of the trees.
func prune(dest *os.Root, dir string, trees []localTree) error {
	list, err := fs.ReadDir(dest.FS(), dir)
	if err != nil {
		return err
	}
next:
	for _, e := range list {
		name := path.Join(dir, e.Name())
		for _, t := range trees {
			if !t.has(name) {
				continue
			}
			if e.IsDir() {
				if err := prune(dest, name, trees); err != nil {
					return err
				}
			}
			continue next
		}
		if err := dest.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}
