//go:build linux

package overlay

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/snapshot"
)

// MaxLayers is the most directories that overlayfs stacks.
const MaxLayers = 500

// A Mounter stacks directories with overlayfs. It holds nothing and is safe for
// concurrent use.
type Mounter struct {
	userxattr bool
}

var _ snapshot.Mounter = (*Mounter)(nil)

// New gives a Mounter for this process's user namespace.
func New() *Mounter { return &Mounter{userxattr: !initialUserNamespace()} }

// Name is "overlay".
func (*Mounter) Name() string { return "overlay" }

// Mount stacks r.Lower and r.Upper as snapshot.Mounter says. A fresh upper
// directory gets mode, owner, times and attributes of the topmost lower one, as
// it becomes the root of the tree. A single lower directory without an upper one
// is given as it is: it is not protected against writing.
// More than MaxLayers different layers are errs.ErrUnsupported.
func (m *Mounter) Mount(ctx context.Context, r snapshot.Request) (*snapshot.Tree, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	lowers := distinct(r.Lower)
	switch {
	case len(lowers) == 0 && r.Upper == "":
		return nil, fmt.Errorf("mount overlay: no directory given: %w", errs.ErrInvalid)
	case len(lowers) == 0:
		return plain(r.Upper)
	case len(lowers) == 1 && r.Upper == "":
		return plain(lowers[0])
	case len(lowers) > MaxLayers:
		return nil, fmt.Errorf("mount overlay: %d layers, the kernel stacks at most %d; squash some of them: %w", len(lowers), MaxLayers, errs.ErrUnsupported)
	case r.Upper != "" && r.Work == "":
		return nil, fmt.Errorf("mount overlay: no work directory for %s: %w", r.Upper, errs.ErrInvalid)
	}
	if r.Upper != "" {
		if err := inheritRoot(r.Upper, r.Work, lowers[len(lowers)-1]); err != nil {
			return nil, err
		}
	}
	s := stack{lower: lowers, upper: r.Upper, work: r.Work, volatile: r.Volatile, userxattr: m.userxattr}
	f, err := s.mount()
	if errors.Is(err, errNoLowerAppend) || errors.Is(err, unix.EPERM) {
		// Root of a user namespace may mount in a new mount namespace only, unless
		// it has one already.
		f, err = s.mountOld()
	}
	if err != nil {
		return nil, fmt.Errorf("mount overlay of %d layers: %w", len(lowers), hint(err))
	}
	return snapshot.NewTree(f, nil, nil), nil
}

// Supported tries overlayfs on the filesystem of the existing directory dir: it
// mounts two empty directories there, writes and deletes. The error says what is
// missing and matches errs.ErrUnsupported.
func Supported(dir string) error {
	tmp, err := os.MkdirTemp(dir, "overlay-test-")
	if err != nil {
		return fmt.Errorf("try overlayfs: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := try(tmp); err != nil {
		return fmt.Errorf("try overlayfs in %s: %w: %w", dir, errs.ErrUnsupported, err)
	}
	return nil
}

func try(tmp string) error {
	r := snapshot.Request{Lower: []string{tmp + "/lower"}, Upper: tmp + "/upper", Work: tmp + "/work"}
	for _, d := range []string{r.Lower[0] + "/gone", r.Upper, r.Work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	t, err := New().Mount(context.Background(), r)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := os.Remove(t.Path() + "/gone"); err != nil {
		return err
	}
	// Making the directory again needs the opaque attribute.
	if err := os.Mkdir(t.Path()+"/gone", 0o755); err != nil {
		return err
	}
	return os.WriteFile(t.Path()+"/gone/f", nil, 0o644)
}

// distinct drops every occurrence but the topmost of a directory: overlayfs takes
// none twice, and a layer's second occurrence hides or repeats all that its first
// one says.
func distinct(lowers []string) []string {
	seen := make(map[string]bool, len(lowers))
	out := make([]string, len(lowers))
	n := len(lowers)
	for i := len(lowers) - 1; i >= 0; i-- {
		if !seen[lowers[i]] {
			seen[lowers[i]] = true
			n--
			out[n] = lowers[i]
		}
	}
	return out[n:]
}

// plain gives dir itself as a tree.
func plain(dir string) (*snapshot.Tree, error) {
	f, err := openPath(dir)
	if err != nil {
		return nil, fmt.Errorf("open tree: %w", err)
	}
	return snapshot.NewTree(f, nil, nil), nil
}

func openPath(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// initialUserNamespace says whether this process may use trusted.* attributes,
// which only the initial user namespace can. Its inode number is fixed
// (PROC_USER_INIT_INO in the kernel's include/linux/proc_ns.h).
func initialUserNamespace() bool {
	const initialUserInode = 0xEFFFFFFD
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &st); err != nil {
		return os.Geteuid() == 0
	}
	return st.Ino == initialUserInode
}

// hint adds to the errors that users can do something about what that is.
func hint(err error) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("the kernel has no overlayfs (modprobe overlay): %w", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("not permitted, overlayfs needs root, or a user namespace on Linux 5.11 or later: %w", err)
	}
	return err
}
