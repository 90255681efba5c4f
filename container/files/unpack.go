//go:build linux

package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/safepath"
	"github.com/mica-build/mica/layer"
)

// Unpack puts what is in a tar into the directory dir of root, which is there. Nothing
// leaves it, whatever the tar says.
func Unpack(ctx context.Context, r io.Reader, root *os.File, dir string) error {
	d, err := safepath.Open(root, dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("unpack to %s: %w", dir, err)
	}
	defer d.Close()
	_, err = layer.Apply(ctx, r, fmt.Sprintf("/proc/self/fd/%d", d.Fd()), layer.ApplyOptions{Flat: true, NoOwner: layer.SingleID()})
	if err != nil {
		return fmt.Errorf("unpack to %s: %w", dir, err)
	}
	return nil
}

// A Kind is what there is at a path.
type Kind int

// The kinds.
const (
	Nothing Kind = iota
	Directory
	Other
)

// KindOf says what is at name in root, following links.
func KindOf(root *os.File, name string) (Kind, error) {
	st, err := safepath.Stat(root, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Nothing, nil
	case errors.Is(err, unix.ENOTDIR):
		return Nothing, nil
	case err != nil:
		return Nothing, err
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return Directory, nil
	}
	return Other, nil
}

// Place says where cp puts a source of the given kind and name: in which directory, and
// under which name in the tar, as docker cp's rules are. contents says that only what is
// in the source is meant (SRC/.), in which case as is "".
func Place(dest string, at Kind, parent Kind, source Kind, name string, contents bool) (dir, as string, err error) {
	trailing := strings.HasSuffix(dest, "/") || strings.HasSuffix(dest, "/.") || dest == "."
	clean := path.Clean(dest)
	switch {
	case source == Directory && at == Other:
		return "", "", errors.New("cannot copy directory")
	case at == Directory && contents:
		return clean, "", nil
	case at == Directory:
		return clean, name, nil
	case at == Other && trailing:
		return "", "", fmt.Errorf("%s: %w", dest, unix.ENOTDIR)
	case at == Nothing && trailing && source != Directory:
		return "", "", fmt.Errorf("no such directory: %s", dest)
	case parent != Directory:
		return "", "", fmt.Errorf("%s: %w", path.Dir(clean), fs.ErrNotExist)
	}
	return path.Dir(clean), path.Base(clean), nil
}
