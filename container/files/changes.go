//go:build linux

package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/safepath"
)

// A Change is one path that a container has changed, added or deleted: Kind is "C", "A"
// or "D".
type Change struct{ Kind, Path string }

// placeholders are what a sandbox makes in a root to mount over.
var placeholders = []string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/proc", "/dev", "/sys"}

// Changes lists what the layer upper, in overlay form, changes of the tree below it, in
// the order of paths.
func Changes(ctx context.Context, upper string, lower *os.File) ([]Change, error) {
	var out []Change
	err := filepath.WalkDir(upper, func(p string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel := "/" + strings.TrimPrefix(strings.TrimPrefix(p, upper), "/")
		if rel == "/" {
			return nil
		}
		c, err := changeOf(rel, d, lower)
		if err == nil && c.Kind != "" {
			out = append(out, c)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("changes of a container: %w", err)
	}
	out = withoutPlaceholders(upper, out)
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func changeOf(rel string, d fs.DirEntry, lower *os.File) (Change, error) {
	info, err := d.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return Change{}, nil
	}
	if err != nil {
		return Change{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
		return Change{"D", rel}, nil
	}
	below, err := lstat(lower, rel)
	if err != nil {
		return Change{}, err
	}
	if below == nil {
		return Change{"A", rel}, nil
	}
	return Change{"C", rel}, nil
}

// lstat is what is at a path, without following a link at its end; nil if nothing is.
func lstat(root *os.File, name string) (fs.FileInfo, error) {
	f, err := safepath.Open(root, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// withoutPlaceholders leaves out what was made to be mounted over, and directories that
// changed for nothing else.
func withoutPlaceholders(upper string, list []Change) []Change {
	dropped := map[string]bool{}
	list = slices.DeleteFunc(list, func(c Change) bool {
		drop := c.Kind == "A" && slices.Contains(placeholders, c.Path) && IsPlaceholder(upper, c.Path)
		if drop {
			dropped[path.Dir(c.Path)] = true
		}
		return drop
	})
	return slices.DeleteFunc(list, func(c Change) bool {
		return dropped[c.Path] && !slices.ContainsFunc(list, func(o Change) bool { return path.Dir(o.Path) == c.Path })
	})
}

// IsPlaceholder says whether what is at name in the layer upper is empty, as what a
// sandbox makes to mount over.
func IsPlaceholder(upper, name string) bool {
	full := filepath.Join(upper, name)
	st, err := os.Lstat(full)
	if err != nil || !slices.Contains(placeholders, name) {
		return false
	}
	if st.IsDir() {
		entries, err := os.ReadDir(full)
		return err == nil && len(entries) == 0
	}
	return st.Mode().IsRegular() && st.Size() == 0
}

// Placeholders are the paths that IsPlaceholder knows.
func Placeholders() []string { return slices.Clone(placeholders) }
