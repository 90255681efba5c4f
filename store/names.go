//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/fault"
	"github.com/mica-build/mica/internal/lockfile"
)

// A Name is one entry of the names log. Ref is a full canonical reference with
// tag ("docker.io/library/app:latest") or digest ("host/app@sha256:..."), or ""
// for a target that is kept although it has no name (a dangling image).
type Name struct {
	Ref     string
	Target  image.Descriptor
	Updated time.Time
}

// maxRef bounds the length of a reference in bytes.
const maxRef = 4096

// A nameCache is the table of the part of the log that was read already.
type nameCache struct {
	mu         sync.Mutex
	table      *nameTable
	list       []Name // sorted; nil when out of date
	inode      uint64
	generation uint64
	good       int64 // bytes of the log that table stands for
}

// Names lists all names, dangling targets included, ordered by Ref then digest.
func (s *Store) Names(ctx context.Context) ([]Name, error) {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	if err := s.refreshNames(); err != nil {
		return nil, fmt.Errorf("list names: %w", err)
	}
	if s.names.list == nil {
		s.names.list = s.names.table.sorted()
	}
	return slices.Clone(s.names.list), ctx.Err()
}

// Resolve gives what the reference name stands for.
func (s *Store) Resolve(ctx context.Context, name string) (image.Descriptor, error) {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	if err := s.refreshNames(); err != nil {
		return image.Descriptor{}, fmt.Errorf("resolve %s: %w", name, err)
	}
	n := s.names.table.named[name]
	if n == nil {
		return image.Descriptor{}, fmt.Errorf("resolve %s: %w", name, errs.ErrNotFound)
	}
	return n.Target, ctx.Err()
}

// Tag points ref at d (ref "" keeps d as a dangling image, unless it has a name).
// A target that loses its last name by this becomes dangling; it is not lost.
// The blob d must be there: errs.ErrNotFound.
func (s *Store) Tag(ctx context.Context, ref string, d image.Descriptor) error {
	if err := s.tag(ctx, ref, d); err != nil {
		return fmt.Errorf("tag %q as %s: %w", d.Digest, ref, advise(err))
	}
	return nil
}

func (s *Store) tag(ctx context.Context, ref string, d image.Descriptor) error {
	if err := image.CheckDescriptor(d); err != nil {
		return err
	}
	if len(ref) > maxRef {
		return fmt.Errorf("reference of %d bytes: %w", len(ref), errs.ErrTooLarge)
	}
	gc, err := s.collector(ctx, lockfile.Shared)
	if err != nil {
		return err
	}
	defer gc.Release()
	p, err := s.blobPath(d.Digest)
	if err != nil {
		return err
	}
	if _, err := os.Stat(p); err != nil {
		return fmt.Errorf("blob %s: %w", d.Digest, notFound(err))
	}
	return s.changeNames(ctx, func(t *nameTable) ([]change, error) {
		return t.tag(ref, d, time.Now()), nil
	})
}

// Untag removes a name; keep says whether a target that loses its last name
// stays as a dangling image. errs.ErrNotFound if there is no such name.
func (s *Store) Untag(ctx context.Context, ref string, keep bool) error {
	err := s.changeNames(ctx, func(t *nameTable) ([]change, error) {
		old := t.named[ref]
		if old == nil {
			return nil, errs.ErrNotFound
		}
		c := []change{{op: opDelete, name: Name{Ref: ref}}}
		if keep {
			c = append(c, t.orphan(old, time.Now())...)
		}
		return c, nil
	})
	if err != nil {
		return fmt.Errorf("untag %s: %w", ref, advise(err))
	}
	return nil
}

// Forget removes every name of target and its dangling entry. It is no error if
// there are none.
func (s *Store) Forget(ctx context.Context, target digest.Digest) error {
	err := s.changeNames(ctx, func(t *nameTable) ([]change, error) {
		var c []change
		for ref, n := range t.named {
			if n.Target.Digest == target {
				c = append(c, change{op: opDelete, name: Name{Ref: ref}})
			}
		}
		if t.dangling[target] != nil {
			c = append(c, change{op: opForget, gone: target})
		}
		return c, nil
	})
	if err != nil {
		return fmt.Errorf("forget %s: %w", target, advise(err))
	}
	return nil
}

// tag gives the changes that make ref stand for d.
func (t *nameTable) tag(ref string, d image.Descriptor, now time.Time) []change {
	if ref == "" {
		if t.refs(d.Digest) > 0 {
			return nil
		}
		return []change{{op: opKeep, name: Name{Target: d, Updated: now}}}
	}
	c := []change{{op: opSet, name: Name{Ref: ref, Target: d, Updated: now}}}
	if t.dangling[d.Digest] != nil {
		c = append(c, change{op: opForget, gone: d.Digest})
	}
	if old := t.named[ref]; old != nil && old.Target.Digest != d.Digest {
		c = append(c, t.orphan(old, now)...)
	}
	return c
}

// orphan keeps the target of n, which is about to lose this name, if it has no other.
func (t *nameTable) orphan(n *Name, now time.Time) []change {
	if t.refs(n.Target.Digest) > 1 {
		return nil
	}
	return []change{{op: opKeep, name: Name{Target: n.Target, Updated: now}}}
}

func (t *nameTable) sorted() []Name {
	all := make([]*Name, 0, t.live()) // a Name is large to move about
	for _, n := range t.named {
		all = append(all, n)
	}
	for _, n := range t.dangling {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *Name) int {
		if c := strings.Compare(a.Ref, b.Ref); c != 0 {
			return c
		}
		return strings.Compare(string(a.Target.Digest), string(b.Target.Digest))
	})
	out := make([]Name, len(all))
	for i, n := range all {
		out[i] = *n
	}
	return out
}

// refreshNames reads what was added to the log since it was read last.
// The caller holds names.mu.
func (s *Store) refreshNames() error {
	f, err := os.Open(s.path("names.log"))
	if errors.Is(err, fs.ErrNotExist) {
		s.names.reset(0, 0, 0)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return s.names.read(f)
}

func (c *nameCache) reset(inode, generation uint64, size int64) {
	c.table, c.list = newNameTable(int(size/128)), nil
	c.inode, c.generation, c.good = inode, generation, 0
}

// read brings the table up to date with the log f. The first time, and after the
// log was replaced, it reads it from the start.
func (c *nameCache) read(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	head := make([]byte, nameLogHeader)
	if _, err := f.ReadAt(head, 0); err != nil {
		if err == io.EOF { // its first writer died, or is still at it
			c.reset(0, 0, 0)
			return nil
		}
		return err
	}
	generation, err := decodeHeader(string(head))
	if err != nil {
		return err
	}
	if c.table == nil || c.inode != st.Ino || c.generation != generation || c.good > st.Size {
		c.reset(st.Ino, generation, st.Size)
		c.good = int64(nameLogHeader)
	}
	if st.Size == c.good {
		return nil
	}
	tail := make([]byte, st.Size-c.good)
	n, err := f.ReadAt(tail, c.good)
	if err != nil && err != io.EOF {
		return err
	}
	if good := c.table.replay(tail[:n]); good > 0 {
		c.good += int64(good)
		c.list = nil
	}
	return nil
}

// changeNames appends the changes that f makes of the current table.
func (s *Store) changeNames(ctx context.Context, f func(*nameTable) ([]change, error)) error {
	lock, err := lockfile.Acquire(ctx, s.path("names.lock"), lockfile.Exclusive)
	if err != nil {
		return err
	}
	defer lock.Release()
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	if err := s.refreshNames(); err != nil {
		return err
	}
	changes, err := f(s.names.table)
	if err != nil || len(changes) == 0 {
		return err
	}
	if s.names.inode == 0 {
		err = s.compactNames()
	}
	if err == nil {
		err = s.appendNames(changes)
	}
	if err == nil && s.names.table.records > 2*s.names.table.live()+1024 {
		_ = s.compactNames() // the change is made; if not now then next time
	}
	return err
}

// appendNames writes one record to the end of the log, where it cuts off what a
// writer that died may have left. The caller holds names.lock.
func (s *Store) appendNames(changes []change) error {
	record, err := encodeRecord(changes)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.path("names.log"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := s.cutNames(f); err != nil {
		return err
	}
	if err := fault.WriteAt(f, record, s.names.good); err != nil {
		_ = f.Truncate(s.names.good)
		return err
	}
	if s.options.Durable {
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return &os.PathError{Op: "sync", Path: f.Name(), Err: err}
		}
	}
	return s.names.read(f)
}

// cutNames removes what is behind the last good record. A copy stays in
// names.log.cut, in case it was more than the record of a writer that died.
func (s *Store) cutNames(f *os.File) error {
	st, err := f.Stat()
	if err != nil || st.Size() <= s.names.good {
		return err
	}
	tail := make([]byte, st.Size()-s.names.good)
	if _, err := f.ReadAt(tail, s.names.good); err != nil {
		return err
	}
	if err := os.WriteFile(s.path("names.log.cut"), tail, 0o600); err != nil {
		return err
	}
	return fault.Truncate(f, s.names.good)
}

// compactNames replaces the log by one with the live entries only. The caller
// holds names.lock; readers go on with the old file until they look again.
func (s *Store) compactNames() error {
	log, err := encodeLog(s.names.table, s.names.generation+1)
	if err != nil {
		return err
	}
	next := s.path("names.log.new")
	f, err := os.OpenFile(next, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = f.Write(log); err == nil {
		err = f.Sync() // rare, and all names depend on it
	}
	if err == nil {
		err = fault.Rename(next, s.path("names.log"))
	}
	if err == nil {
		err = s.sync() // or a later append, to a file that has no name yet, is lost
	}
	if err != nil {
		os.Remove(next)
		return err
	}
	return s.names.read(f)
}
