package export

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/containerd/platforms"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/layer"
)

// A Viewer opens the files of a target read-only.
type Viewer func(ctx context.Context, t Target) (dir *os.File, done func(), err error)

// dirName is how buildx names a platform's directory.
func dirName(p image.Platform) string {
	return strings.ReplaceAll(platforms.FormatAll(p), "/", "_")
}

// Tar writes the files of ts to w as one tar.
func Tar(ctx context.Context, view Viewer, ts []Target, w io.Writer, split bool) error {
	if len(ts) == 1 && !split {
		return tarOne(ctx, view, ts[0], w)
	}
	tw := tar.NewWriter(w)
	for _, t := range ts {
		if err := tarInto(ctx, view, t, tw); err != nil {
			return err
		}
	}
	return tw.Close()
}

func tarOne(ctx context.Context, view Viewer, t Target, w io.Writer) error {
	src, done, err := view(ctx, t)
	if err != nil {
		return err
	}
	defer done()
	return layer.Diff(ctx, w, fmt.Sprintf("/proc/self/fd/%d", src.Fd()), layer.DiffOptions{SetTime: t.Epoch})
}

// tarInto adds t's files below a directory named by its platform.
func tarInto(ctx context.Context, view Viewer, t Target, tw *tar.Writer) error {
	prefix := dirName(t.Platform)
	mtime := time.Unix(0, 0)
	if t.Epoch != nil {
		mtime = *t.Epoch
	}
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: prefix + "/", Mode: 0o755, ModTime: mtime}); err != nil {
		return err
	}
	r, w := io.Pipe()
	defer r.Close()
	go func() { w.CloseWithError(tarOne(ctx, view, t, w)) }()
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		slash := strings.HasSuffix(h.Name, "/")
		h.Name = path.Join(prefix, h.Name)
		if slash {
			h.Name += "/"
		}
		if h.Typeflag == tar.TypeLink {
			h.Linkname = path.Join(prefix, h.Linkname)
		}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(tw, tr); err != nil {
			return err
		}
	}
}
