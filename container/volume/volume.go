//go:build linux

package volume

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/safepath"
	"github.com/mica-build/mica/layer"
	"github.com/mica-build/mica/store"
)

// A Volume is one of them.
type Volume struct {
	Name    string
	Created time.Time
	Labels  map[string]string
	Options map[string]string
	// Anonymous volumes have a name that nobody chose.
	Anonymous bool
	dir       string
}

// Dir is the directory that containers see.
func (v *Volume) Dir() string { return filepath.Join(v.dir, "data") }

// A Folder is the volumes of a store.
type Folder struct {
	store *store.Store
	dir   string
}

// NewFolder gives the volumes of s. Nothing is read or made yet.
func NewFolder(s *store.Store) *Folder {
	return &Folder{s, filepath.Join(s.Root(), "volumes")}
}

// ValidName matches the names that docker lets a volume have.
var validName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// CheckName says what is wrong with a name.
func CheckName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("%q includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path: %w", name, errs.ErrInvalid)
	}
	return nil
}

// NewName is a name for an anonymous volume: 64 hex digits.
func NewName() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// Create makes the volume, unless it is there; created says so. "" as a name makes an
// anonymous one.
func (f *Folder) Create(ctx context.Context, v Volume) (out *Volume, created bool, err error) {
	if v.Name == "" {
		v.Name, v.Anonymous = NewName(), true
	}
	if err := CheckName(v.Name); err != nil {
		return nil, false, err
	}
	if have, err := f.Find(v.Name); err == nil || !errors.Is(err, errs.ErrNotFound) {
		return have, false, err
	}
	v.Created = time.Now()
	v.dir = filepath.Join(f.dir, v.Name)
	err = f.publish(ctx, &v)
	if errors.Is(err, fs.ErrExist) {
		have, err := f.Find(v.Name)
		return have, false, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("create volume %s: %w", v.Name, err)
	}
	return &v, true, nil
}

// publish makes the volume elsewhere and moves it to its place.
func (f *Folder) publish(ctx context.Context, v *Volume) error {
	tmp, err := f.store.TempDir(ctx, "volume-")
	if err != nil {
		return err
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(tmp, "data"), 0o755); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Join(tmp, "data"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, "volume.json"), raw, 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(f.dir, 0o711); err != nil {
		return err
	}
	return unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, v.dir, unix.RENAME_NOREPLACE)
}

// Find reads a volume. errs.ErrNotFound if it is not there.
func (f *Folder) Find(name string) (*Volume, error) {
	if CheckName(name) != nil {
		return nil, &NotFoundError{name}
	}
	v := &Volume{dir: filepath.Join(f.dir, name)}
	raw, err := os.ReadFile(filepath.Join(v.dir, "volume.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotFoundError{name}
	}
	if err == nil {
		err = json.Unmarshal(raw, v)
	}
	if err != nil {
		return nil, fmt.Errorf("volume %s: %w", name, err)
	}
	return v, nil
}

// A NotFoundError says that there is no such volume. It matches errs.ErrNotFound.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string { return "get " + e.Name + ": no such volume" }

// Is matches errs.ErrNotFound.
func (e *NotFoundError) Is(target error) bool { return target == errs.ErrNotFound }

// List reads all volumes, by name.
func (f *Folder) List() ([]*Volume, error) {
	entries, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	var out []*Volume
	for _, e := range entries {
		v, err := f.Find(e.Name())
		if errors.Is(err, errs.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b *Volume) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Remove removes a volume with all that is in it. That nobody uses it is for the caller
// to know.
func (f *Folder) Remove(v *Volume) error { return f.store.Discard(v.dir) }

// Fill puts what is below dir in root into a volume that is empty, as docker does when a
// volume is mounted for the first time over what an image has there. A root without dir
// leaves it empty.
func (v *Volume) Fill(ctx context.Context, root *os.File, dir string) error {
	entries, err := os.ReadDir(v.Dir())
	if err != nil || len(entries) > 0 {
		return err
	}
	src, err := safepath.Open(root, dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	defer src.Close()
	if err := v.copy(ctx, src); err != nil {
		return fmt.Errorf("fill volume %s from %s of the image: %w", v.Name, dir, err)
	}
	return nil
}

func (v *Volume) copy(ctx context.Context, src *os.File) error {
	r, w := io.Pipe()
	go func() {
		w.CloseWithError(layer.Diff(ctx, w, fmt.Sprintf("/proc/self/fd/%d", src.Fd()), layer.DiffOptions{}))
	}()
	_, err := layer.Apply(ctx, r, v.Dir(), layer.ApplyOptions{Flat: true})
	r.CloseWithError(err)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(src.Fd()), &st); err != nil {
		return err
	}
	if err := os.Chown(v.Dir(), int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	return unix.Chmod(v.Dir(), st.Mode&0o7777)
}
