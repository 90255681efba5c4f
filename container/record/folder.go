//go:build linux

package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/atomicfile"
	"github.com/mica-build/mica/internal/lockfile"
	"github.com/mica-build/mica/store"
)

// A Folder is the containers of a store.
type Folder struct {
	store *store.Store
	dir   string
}

// NewFolder gives the containers of s. Nothing is read or made yet.
func NewFolder(s *store.Store) *Folder {
	return &Folder{store: s, dir: filepath.Join(s.Root(), "containers")}
}

// A Container is one of them, as it was when it was read.
type Container struct {
	Config
	State State
	// Kept says that a monitor keeps it.
	Kept bool
	dir  string
}

// Dir is the container's directory; Upper and Work are those of its writable layer.
func (c *Container) Dir() string   { return c.dir }
func (c *Container) Upper() string { return filepath.Join(c.dir, "fs") }
func (c *Container) Work() string  { return filepath.Join(c.dir, "work") }

// LogPath is the file with its output, SocketName the name of its monitor's socket in Dir.
func (c *Container) LogPath() string { return filepath.Join(c.dir, "log") }

// SocketName is the name of the monitor's socket in Dir.
const SocketName = "socket"

func (f *Folder) path(id string) string       { return filepath.Join(f.dir, id) }
func (f *Folder) namePath(name string) string { return filepath.Join(f.dir, "names", name) }

// Create puts a new container on record: c.ID and c.Name are free, and its image is there.
// A name that is taken is errs.ErrExists.
func (f *Folder) Create(ctx context.Context, c Config) (*Container, error) {
	out := &Container{Config: c, State: State{Status: Created}, dir: f.path(c.ID)}
	if err := os.MkdirAll(filepath.Join(f.dir, "names"), 0o700); err != nil {
		return nil, fmt.Errorf("create container: %w", err)
	}
	if err := f.take(c.Name, c.ID); err != nil {
		return nil, err
	}
	err := f.fill(ctx, out)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create container %s: %w", c.Name, err), f.Remove(out))
	}
	return out, nil
}

func (f *Folder) fill(ctx context.Context, c *Container) error {
	if err := f.store.Hold(ctx, c.ID, c.Manifest.Digest); err != nil {
		return err
	}
	for _, dir := range []string{c.dir, c.Upper(), c.Work()} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(c.Upper(), 0o755); err != nil {
		return err
	}
	if err := os.Chmod(c.dir, 0o700); err != nil {
		return err
	}
	if err := f.SetState(c, c.State); err != nil {
		return err
	}
	return f.SetConfig(c, c.Config) // it exists from now on
}

// take gives id the name. A link that leads nowhere is what a killed process left.
func (f *Folder) take(name, id string) error {
	for range 100 {
		err := os.Symlink("../"+id, f.namePath(name))
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		to, err := os.Readlink(f.namePath(name))
		if err != nil {
			continue
		}
		owner := filepath.Base(to)
		if owner == id {
			return nil
		}
		if _, err := os.Stat(filepath.Join(f.path(owner), "config.json")); !errors.Is(err, fs.ErrNotExist) {
			return &NameTakenError{Name: name, By: owner}
		}
		if st, err := os.Lstat(f.namePath(name)); err == nil && time.Since(st.ModTime()) < staleName {
			return &NameTakenError{Name: name, By: owner} // it is being made now
		}
		_ = os.Remove(f.namePath(name))
	}
	return fmt.Errorf("name %s: %w", name, errs.ErrConflict)
}

// staleName is how old a name without a container has to be before another takes it.
const staleName = 5 * time.Second

// A NameTakenError says that another container has the name. It matches errs.ErrExists.
type NameTakenError struct{ Name, By string }

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("Conflict. The container name \"/%s\" is already in use by container \"%s\". You have to remove (or rename) that container to be able to reuse that name.", e.Name, e.By)
}

// Is matches errs.ErrExists.
func (e *NameTakenError) Is(target error) bool { return target == errs.ErrExists }

// SetConfig replaces what the container was made with.
func (f *Folder) SetConfig(c *Container, to Config) error {
	if err := f.write(c, "config.json", to); err != nil {
		return err
	}
	c.Config = to
	return nil
}

// SetState replaces how the container is.
func (f *Folder) SetState(c *Container, to State) error {
	if err := f.write(c, "state.json", to); err != nil {
		return err
	}
	c.State = to
	return nil
}

func (f *Folder) write(c *Container, name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	err = atomicfile.Write(filepath.Join(c.dir, name), raw, atomicfile.Options{Perm: 0o600})
	if err != nil {
		return fmt.Errorf("container %s: %w", c.Name, err)
	}
	return nil
}

// List reads all containers, the newest first. Those that were to go when they ended and
// have lost their monitor are removed.
func (f *Folder) List() ([]*Container, error) {
	entries, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var out []*Container
	for _, e := range entries {
		if len(e.Name()) != 64 {
			continue
		}
		c, err := f.read(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			f.reap(e)
			continue
		}
		if err != nil {
			return nil, err
		}
		if c.AutoRemove && !c.Kept && c.State.Status == Exited {
			_ = f.Remove(c)
			continue
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *Container) int { return b.Created.Compare(a.Created) })
	return out, nil
}

// reap removes what a process that was killed has left of making or removing a container.
func (f *Folder) reap(e fs.DirEntry) {
	if st, err := e.Info(); err == nil && time.Since(st.ModTime()) > time.Minute {
		_ = f.store.Discard(f.path(e.Name()))
		_ = f.store.Release(e.Name())
	}
}

func (f *Folder) read(id string) (*Container, error) {
	c := &Container{dir: f.path(id)}
	if err := c.readFile("config.json", &c.Config); err != nil {
		return nil, err
	}
	kept, err := c.kept()
	if err != nil {
		return nil, err
	}
	c.Kept = kept
	if err := c.readFile("state.json", &c.State); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if !kept {
		// The monitor may have ended between the two.
		if c.State.Up() || c.State.Status == Restarting {
			c.orphan()
		}
	}
	return c, nil
}

// orphan is the state of a container whose monitor has died without a word.
func (c *Container) orphan() {
	c.State.Status, c.State.PID, c.State.ExitCode = Exited, 0, 255
	if c.State.Error == "" {
		c.State.Error = "the process that kept the container was killed"
	}
	if st, err := os.Stat(filepath.Join(c.dir, "state.json")); err == nil && c.State.Finished.Before(st.ModTime()) {
		c.State.Finished = st.ModTime()
	}
}

func (c *Container) readFile(name string, v any) error {
	raw, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("container %s: %s: %w: %w", filepath.Base(c.dir), name, errs.ErrInvalid, err)
	}
	return nil
}

// kept asks whether a monitor holds the lock.
func (c *Container) kept() (bool, error) {
	path := filepath.Join(c.dir, "lock")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	lock, err := lockfile.Try(path, lockfile.Shared)
	if errors.Is(err, errs.ErrConflict) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, lock.Release()
}

// Keep takes the container for a monitor, until the lock is released.
// errs.ErrConflict: another one keeps it.
func (f *Folder) Keep(ctx context.Context, c *Container) (*lockfile.Lock, error) {
	path := filepath.Join(c.dir, "lock")
	for wait := time.Millisecond; ; wait *= 2 {
		lock, err := lockfile.Try(path, lockfile.Exclusive)
		switch {
		case !errors.Is(err, errs.ErrConflict):
			return lock, err
		case wait > 500*time.Millisecond: // those who only ask hold it for a moment
			return nil, fmt.Errorf("container %s is kept by another process: %w", c.Name, errs.ErrConflict)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Find reads the container that a name, an ID or the beginning of one ID means.
// errs.ErrNotFound, and errs.ErrConflict for the beginning of several.
func (f *Folder) Find(name string) (*Container, error) {
	if bare := strings.TrimPrefix(name, "/"); bare != "" && bare == filepath.Base(bare) {
		if to, err := os.Readlink(f.namePath(bare)); err == nil {
			if c, err := f.read(filepath.Base(to)); err == nil || !errors.Is(err, fs.ErrNotExist) {
				return c, err
			}
		}
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("find container: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if len(e.Name()) == 64 && name != "" && strings.HasPrefix(e.Name(), name) {
			ids = append(ids, e.Name())
		}
	}
	if len(ids) > 1 {
		return nil, fmt.Errorf("multiple IDs found with provided prefix: %s: %w", name, errs.ErrConflict)
	}
	if len(ids) == 1 {
		if c, err := f.read(ids[0]); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return c, err
		}
	}
	return nil, &NotFoundError{Name: name}
}

// A NotFoundError says that there is no such container. It matches errs.ErrNotFound.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string { return "No such container: " + e.Name }

// Is matches errs.ErrNotFound.
func (e *NotFoundError) Is(target error) bool { return target == errs.ErrNotFound }

// Again reads the container once more.
func (f *Folder) Again(c *Container) (*Container, error) {
	n, err := f.read(c.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotFoundError{Name: c.Name}
	}
	return n, err
}

// Rename gives the container another name.
func (f *Folder) Rename(c *Container, name string) error {
	if name == c.Name {
		return fmt.Errorf("renaming a container with the same name as its current name: %w", errs.ErrInvalid)
	}
	if err := f.take(name, c.ID); err != nil {
		return err
	}
	old := c.Name
	to := c.Config
	to.Name = name
	if err := f.SetConfig(c, to); err != nil {
		return err
	}
	f.dropName(old, c.ID)
	return nil
}

// dropName takes a name from a container, if it is still its.
func (f *Folder) dropName(name, id string) {
	if to, err := os.Readlink(f.namePath(name)); err == nil && filepath.Base(to) == id {
		_ = os.Remove(f.namePath(name))
	}
}

// Remove forgets the container with all that it wrote. It must not be kept by another
// process.
func (f *Folder) Remove(c *Container) error {
	f.dropName(c.Name, c.ID)
	err := f.store.Discard(c.dir)
	if rerr := f.store.Release(c.ID); err == nil {
		err = rerr
	}
	return err
}
