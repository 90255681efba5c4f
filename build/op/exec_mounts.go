package op

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/build/fileop"
	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/safepath"
	"github.com/mica-build/mica/sandbox"
	"github.com/mica-build/mica/store"
)

// mounter prepares the mounts of one exec step, and takes them down.
type mounter struct {
	e     *exec
	in    []solve.Value
	works map[int]*work // by mount index: the mounts that have an output
	done  cleanups
	mem   *memfs

	caches map[int]string // directories of cache mounts, by mount index
}

// prepare makes the mounts in the order of the step.
func (m *mounter) prepare(ctx context.Context) (*sandbox.Spec, error) {
	s := &sandbox.Spec{}
	m.works = map[int]*work{}
	if err := m.openCaches(ctx); err != nil {
		return nil, err
	}
	for i, pm := range m.e.op.Mounts {
		if pm.Dest == "/" && pm.MountType == pb.MountType_BIND {
			if err := m.root(ctx, s, i, pm); err != nil {
				return nil, err
			}
			continue
		}
		sm, err := m.mount(ctx, i, pm)
		if err != nil {
			return nil, fmt.Errorf("mount %s: %w", pm.Dest, err)
		}
		if sm != nil {
			sm.Target = path.Join("/", m.e.op.Meta.Cwd, pm.Dest)
			if path.IsAbs(pm.Dest) {
				sm.Target = path.Clean(pm.Dest)
			}
			if sm.Kind == sandbox.Tmpfs {
				sm.Mode = modeBelow(s.Root, sm.Target)
			}
			s.Mounts = append(s.Mounts, *sm)
		}
	}
	return s, nil
}

func (m *mounter) root(ctx context.Context, s *sandbox.Spec, i int, pm *pb.Mount) error {
	v, err := input(m.in, pm.Input)
	if err != nil {
		return err
	}
	if pm.Readonly {
		t, err := m.e.w.view(ctx, v)
		if err != nil {
			return err
		}
		m.done.add(t.Close)
		s.Root, s.ReadonlyRoot = t.File(), true
		return nil
	}
	k, err := m.e.w.start(ctx, v)
	if err != nil {
		return err
	}
	m.works[i] = k
	m.done.add(func() error { k.discard(); return nil })
	s.Root = k.tree.File()
	return makeCwd(s.Root, m.e.op.Meta.Cwd)
}

// makeCwd makes the working directory, which an earlier step may have deleted
// again. Like what the step itself makes, it stays.
func makeCwd(root *os.File, cwd string) error {
	dir, err := safepath.MkdirAll(root, cleanAbs(cwd), 0o755, func(dir *os.File) error { return dir.Chown(0, 0) })
	if err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	return dir.Close()
}

// modeBelow is the mode of the directory that a tmpfs at target covers, which it
// takes over; 0 when there is none.
func modeBelow(root *os.File, target string) uint32 {
	var st unix.Stat_t
	dir, err := safepath.Open(root, target, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return 0 // mounting will tell
	}
	defer dir.Close()
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return 0
	}
	return st.Mode & 0o7777
}

func (m *mounter) mount(ctx context.Context, i int, pm *pb.Mount) (*sandbox.Mount, error) {
	switch pm.MountType {
	case pb.MountType_BIND:
		return m.bind(ctx, i, pm)
	case pb.MountType_CACHE:
		return m.cache(i, pm)
	case pb.MountType_TMPFS:
		return &sandbox.Mount{Kind: sandbox.Tmpfs, Size: pm.GetTmpfsOpt().GetSize()}, nil
	case pb.MountType_SECRET:
		return m.secret(ctx, pm.SecretOpt)
	case pb.MountType_SSH:
		return m.ssh(ctx, pm.SSHOpt)
	}
	return nil, fmt.Errorf("kind %s: %w", pm.MountType, errs.ErrUnsupported)
}

// bind shows an input. What is written to a writable one is a layer when the
// mount has an output, and thrown away when not.
func (m *mounter) bind(ctx context.Context, i int, pm *pb.Mount) (*sandbox.Mount, error) {
	v, err := input(m.in, pm.Input)
	if err != nil {
		return nil, err
	}
	sub := path.Join("/", pm.Selector)
	if v.Local != nil {
		if v, err = m.e.w.freeze(ctx, v, sub); err != nil {
			return nil, err
		}
	}
	if pm.Readonly {
		t, err := m.e.w.view(ctx, v)
		if err != nil {
			return nil, err
		}
		m.done.add(t.Close)
		return &sandbox.Mount{SourceFile: t.File(), Subpath: sub, ReadOnly: true}, nil
	}
	k, err := m.e.w.start(ctx, v)
	if err != nil {
		return nil, err
	}
	m.done.add(func() error { k.discard(); return nil })
	if pm.Output >= 0 {
		m.works[i] = k
	}
	return &sandbox.Mount{SourceFile: k.tree.File(), Subpath: sub}, nil
}

// freeze copies what a step may see of a live directory (without what
// .dockerignore excludes, owned by root) into a layer that later builds with
// the same content use again.
func (w *World) freeze(ctx context.Context, v solve.Value, sub string) (solve.Value, error) {
	src, done, err := w.source(ctx, v)
	if err != nil {
		return solve.Value{}, err
	}
	defer done()
	d, err := fileop.DigestPath(ctx, src, sub)
	if err != nil {
		return solve.Value{}, err
	}
	w.saw(v, Read{Path: sub, Digest: d})
	key, raw, err := solve.NewPreimage("context", []string{sub, d.String()}).Key()
	if err != nil {
		return solve.Value{}, err
	}
	unlock, err := w.Store.Lock(ctx, "step-"+string(key))
	if err != nil {
		return solve.Value{}, err
	}
	defer unlock()
	if r, err := w.Store.Record(ctx, key); err == nil && len(r.Outputs) == 1 && len(r.Outputs[0]) == 1 {
		if l, err := w.Store.Layer(ctx, r.Outputs[0][0]); err == nil {
			return w.frozen(v, solve.Stored(l), l.ID), nil
		}
	} else if err != nil && !errors.Is(err, errs.ErrNotFound) {
		return solve.Value{}, err
	}
	out, err := w.place(ctx, func(dir *os.File) error {
		// Below the root the directory itself is copied, since its mode counts.
		return fileop.Copy(ctx, dir, src, &pb.FileActionCopy{
			Src: sub, Dest: forceSlash(path.Dir(sub)), FollowSymlink: true, DirCopyContents: sub == "/",
			CreateDestPath: true, Timestamp: -1, Mode: -1,
		}, nil)
	})
	if err != nil {
		return solve.Value{}, err
	}
	ids, err := out[0].IDs(ctx)
	if err != nil {
		return solve.Value{}, err
	}
	val := w.frozen(v, out[0].Layers[0], ids[0])
	if again, err := fileop.DigestPath(ctx, src, sub); err != nil || again != d {
		return val, err // edited meanwhile: good for this build only
	}
	err = w.Store.PutRecord(ctx, &store.Record{
		Key: key, ResultKey: key, Outputs: [][]store.LayerID{ids}, Preimage: raw,
		Description: "build context " + v.Local.Name + " " + sub, Type: "source.local",
	})
	return val, err
}

// frozen is keyed by its layer, which the record of the content leads to.
func (w *World) frozen(from solve.Value, l *solve.Layer, id store.LayerID) solve.Value {
	w.Steps.Set(id, "local source for "+from.Local.Name)
	return solve.Value{Key: solve.Hash("frozen", string(id)), Layers: []*solve.Layer{l}}
}

func forceSlash(p string) string {
	if strings.HasSuffix(p, "/") {
		return p
	}
	return p + "/"
}

// cache shows the directory of a cache mount.
func (m *mounter) cache(i int, pm *pb.Mount) (*sandbox.Mount, error) {
	f, err := os.Open(m.caches[i])
	if err != nil {
		return nil, err
	}
	m.done.add(f.Close)
	return &sandbox.Mount{SourceFile: f, Subpath: path.Join("/", pm.Selector), ReadOnly: pm.Readonly}, nil
}

// A cacheMount is a cache that the step's mount i asks for.
type cacheMount struct {
	i    int
	id   string
	how  store.Sharing
	fill func(string) error // fills the cache when it is new; nil leaves it empty
}

// openCaches gets the directories of all cache mounts for as long as the step
// runs: in the order of their ids, so that two steps that lock the same caches
// do not wait for each other. Mounts of one step that name the same cache share
// it, whatever they say of other steps.
func (m *mounter) openCaches(ctx context.Context) error {
	var list []cacheMount
	for i, pm := range m.e.op.Mounts {
		if pm.MountType != pb.MountType_CACHE {
			continue
		}
		c, err := m.cacheMount(ctx, i, pm)
		if err != nil {
			return fmt.Errorf("mount %s: %w", pm.Dest, err)
		}
		list = append(list, c)
	}
	slices.SortStableFunc(list, func(a, b cacheMount) int { return strings.Compare(a.id, b.id) })
	m.caches = map[int]string{}
	for n, c := range list {
		if n > 0 && list[n-1].id == c.id {
			m.caches[c.i] = m.caches[list[n-1].i]
			continue
		}
		dir, release, err := m.e.w.Store.CacheMount(ctx, c.id, c.how, c.fill)
		if err != nil {
			return fmt.Errorf("mount %s: %w", m.e.op.Mounts[c.i].Dest, err)
		}
		m.done.add(func() error { release(); return nil })
		m.caches[c.i] = dir
	}
	return nil
}

func (m *mounter) cacheMount(ctx context.Context, i int, pm *pb.Mount) (cacheMount, error) {
	c := cacheMount{i: i, id: pm.CacheOpt.GetID(), how: store.Shared}
	switch pm.CacheOpt.GetSharing() {
	case pb.CacheSharingOpt_PRIVATE:
		c.how = store.Private
	case pb.CacheSharingOpt_LOCKED:
		c.how = store.Locked
	}
	if c.id == "" {
		c.id = pm.Dest
	}
	v, err := input(m.in, pm.Input)
	if err != nil {
		return c, err
	}
	if v.Local != nil {
		if v, err = m.e.w.freeze(ctx, v, path.Join("/", pm.Selector)); err != nil {
			return c, err
		}
	}
	if pm.Input >= 0 {
		c.id += ":" + string(v.Key)
		c.fill = func(dir string) error { return m.e.w.fill(ctx, v, dir) }
	}
	return c, nil
}

func (w *World) fill(ctx context.Context, v solve.Value, dir string) error {
	src, done, err := w.source(ctx, v)
	if err != nil {
		return err
	}
	defer done()
	dst, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer dst.Close()
	return fileop.Copy(ctx, dst, src, &pb.FileActionCopy{
		Src: "/", Dest: "/", DirCopyContents: true, CreateDestPath: true, Timestamp: -1, Mode: -1,
	}, nil)
}

// secret shows a secret as a file in memory.
func (m *mounter) secret(ctx context.Context, o *pb.SecretOpt) (*sandbox.Mount, error) {
	data, err := m.e.w.secret(ctx, o.GetID(), o.GetOptional())
	if err != nil || data == nil {
		return nil, err
	}
	if m.mem == nil {
		if m.mem, err = newMemfs(); err != nil {
			return nil, err
		}
		m.done.add(m.mem.Close)
	}
	name, err := m.mem.add(data, os.FileMode(o.GetMode()).Perm(), int(o.GetUid()), int(o.GetGid()))
	if err != nil {
		return nil, err
	}
	return &sandbox.Mount{SourceFile: m.mem.root, Subpath: "/" + name, ReadOnly: true}, nil
}

// ssh shows the socket of an agent.
func (m *mounter) ssh(ctx context.Context, o *pb.SSHOpt) (*sandbox.Mount, error) {
	sock, err := m.e.w.SSH.Agent(ctx, o.GetID())
	if errors.Is(err, errs.ErrNotFound) {
		if o.GetOptional() {
			return nil, nil
		}
		id := cmp.Or(strings.TrimSpace(o.GetID()), "default")
		return nil, fmt.Errorf("ssh agent %q: %w: forward one with --ssh %s", id, errs.ErrNotFound, id)
	}
	if err != nil {
		return nil, fmt.Errorf("ssh agent %q: %w", o.GetID(), err)
	}
	dir, err := m.e.w.Store.TempDir(ctx, "ssh-")
	if err != nil {
		return nil, err
	}
	m.done.add(func() error { return os.RemoveAll(dir) })
	p, err := forwardAgent(sock, dir, os.FileMode(o.GetMode()).Perm(), int(o.GetUid()), int(o.GetGid()))
	if err != nil {
		return nil, err
	}
	m.done.add(p.Close)
	return &sandbox.Mount{Source: p.path}, nil
}

// outputs publishes what the step wrote, by output index.
func (m *mounter) outputs(ctx context.Context) ([]solve.Value, error) {
	var out []solve.Value
	for i, pm := range m.e.op.Mounts {
		if pm.Output < 0 || pm.MountType != pb.MountType_BIND {
			continue
		}
		v, err := input(m.in, pm.Input)
		if err != nil {
			return nil, err
		}
		if k := m.works[i]; k != nil {
			if v, err = k.commit(ctx); err != nil {
				return nil, err
			}
		}
		for int64(len(out)) <= pm.Output {
			out = append(out, solve.Value{})
		}
		out[pm.Output] = v
	}
	return out, nil
}

// close takes everything down, last first.
func (m *mounter) close() error {
	d := m.done
	m.done = nil
	return d.run()
}
