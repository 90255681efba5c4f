//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/lockfile"
)

// IncomingBlock is what offsets and, but for the end of the blob, lengths of
// Incoming.WriteAt have to be multiples of, in bytes.
const IncomingBlock = 4096

// incomingKept is how long what came of a blob is kept for the next one to go on.
const incomingKept = 24 * time.Hour

// An Incoming is a blob on its way into the store. What has come of it is kept in a
// file that outlives the process, so that whoever wants the blob next goes on there:
// parts of the file that nobody wrote are holes, and the file system knows them.
// One process at a time has it; it may be used by any number of goroutines.
type Incoming struct {
	store *Store
	d     image.Descriptor
	lock  *lockfile.Lock

	mu      sync.Mutex
	have    []Span
	changed chan struct{} // closed when have grows, or err is set
	err     error
}

// A Span is the bytes from Start to before End.
type Span struct{ Start, End int64 }

// Receive begins to take in the blob d, or goes on where another process stopped. It
// waits for one that is at it now. nil without an error: the blob is there already.
func (s *Store) Receive(ctx context.Context, d image.Descriptor) (*Incoming, error) {
	in, err := s.receive(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("receive blob %s: %w", d.Digest, advise(err))
	}
	return in, nil
}

func (s *Store) receive(ctx context.Context, d image.Descriptor) (*Incoming, error) {
	if ok, err := s.Exists(ctx, d); ok || err != nil {
		return nil, err
	}
	path := s.incomingPath(d.Digest)
	lock, err := lockfile.Acquire(ctx, path, lockfile.Exclusive)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		lock, err = lockfile.Acquire(ctx, path, lockfile.Exclusive)
	}
	if err != nil {
		return nil, err
	}
	if ok, err := s.Exists(ctx, d); ok || err != nil { // somebody was faster
		return nil, errors.Join(err, lock.Remove())
	}
	in := &Incoming{store: s, d: d, lock: lock, changed: make(chan struct{})}
	if in.have, err = spans(lock.File(), d.Size); err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return in, nil
}

func (s *Store) incomingPath(d digest.Digest) string {
	return s.path("incoming", string(d.Algorithm())+"-"+d.Encoded())
}

// spans finds what has been written to f, which is made size bytes long.
func spans(f *os.File, size int64) ([]Span, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() != size {
		// New, or of a descriptor that lied.
		if err := f.Truncate(0); err != nil {
			return nil, err
		}
		return nil, f.Truncate(size)
	}
	var have []Span
	for at := int64(0); at < size; {
		start, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return nil, err
		}
		end, err := f.Seek(start, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		have, at = append(have, Span{start, min(end, size)}), end
	}
	return have, nil
}

// Missing lists what has not come yet, in order.
func (in *Incoming) Missing() []Span {
	in.mu.Lock()
	defer in.mu.Unlock()
	var missing []Span
	at := int64(0)
	for _, h := range in.have {
		if h.Start > at {
			missing = append(missing, Span{at, h.Start})
		}
		at = h.End
	}
	if at < in.d.Size {
		missing = append(missing, Span{at, in.d.Size})
	}
	return missing
}

// WriteAt adds bytes of the blob: whole blocks, or what ends with the blob.
func (in *Incoming) WriteAt(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	if off%IncomingBlock != 0 || end > in.d.Size || end%IncomingBlock != 0 && end != in.d.Size {
		return 0, fmt.Errorf("write bytes %d to %d of a blob of %d: %w", off, end, in.d.Size, errs.ErrInvalid)
	}
	n, err := in.lock.File().WriteAt(p, off)
	if err != nil {
		return n, advise(err)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.add(Span{off, end})
	in.tell()
	return n, nil
}

// add merges x into have.
func (in *Incoming) add(x Span) {
	i := 0
	for i < len(in.have) && in.have[i].End < x.Start {
		i++
	}
	j := i
	for j < len(in.have) && in.have[j].Start <= x.End {
		x = Span{min(x.Start, in.have[j].Start), max(x.End, in.have[j].End)}
		j++
	}
	in.have = slices.Replace(in.have, i, j, x)
}

// tell wakes those who wait for more.
func (in *Incoming) tell() {
	close(in.changed)
	in.changed = make(chan struct{})
}

// Fail makes readers fail that wait for what will not come.
func (in *Incoming) Fail(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err == nil {
		in.err = err
		in.tell()
	}
}

// Reader reads the blob from its beginning and waits for what is missing. It
// verifies the blob, as what Fetch gives does; one that is wrong is forgotten.
func (in *Incoming) Reader(ctx context.Context) io.Reader {
	return &incomingReader{in: in, r: content.Verify(io.NopCloser(&incomingBytes{in: in, ctx: ctx}), in.d)}
}

// An incomingReader forgets a blob that is wrong.
type incomingReader struct {
	in *Incoming
	r  io.Reader
}

func (r *incomingReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if errors.Is(err, errs.ErrDigest) {
		_ = r.in.lock.File().Truncate(0)
		r.in.Fail(err)
	}
	return n, err
}

type incomingBytes struct {
	in  *Incoming
	ctx context.Context // of the reading; a reader has nowhere else to keep it
	at  int64
}

func (r *incomingBytes) Read(p []byte) (int, error) {
	if r.at >= r.in.d.Size {
		return 0, io.EOF
	}
	end, err := r.in.wait(r.ctx, r.at)
	if err != nil {
		return 0, err
	}
	n, err := r.in.lock.File().ReadAt(p[:min(int64(len(p)), end-r.at)], r.at)
	r.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// wait waits until the byte at off is there and gives the end of what is from there on.
func (in *Incoming) wait(ctx context.Context, off int64) (int64, error) {
	for {
		in.mu.Lock()
		for _, h := range in.have {
			if h.Start <= off && off < h.End {
				in.mu.Unlock()
				return h.End, nil
			}
		}
		err, changed := in.err, in.changed
		in.mu.Unlock()
		if err != nil {
			return 0, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// Commit makes the blob one of the store. The caller has read it to its end through
// Reader: its bytes are right.
func (in *Incoming) Commit(ctx context.Context) error {
	to, err := in.store.blobPath(in.d.Digest)
	if err != nil {
		return err
	}
	if in.store.options.Durable {
		err = in.lock.File().Sync()
	}
	if err == nil {
		err = in.store.publish(ctx, []string{pinBlob(in.d.Digest)}, func() error {
			return in.store.rename(in.lock.File().Name(), to)
		})
	}
	return err
}

// finish reads the blob to its end and makes it one of the store.
func (in *Incoming) finish(ctx context.Context) error {
	if _, err := io.Copy(io.Discard, in.Reader(ctx)); err != nil {
		return err
	}
	return in.Commit(ctx)
}

// Finish waits until the whole blob has come, verifies it and makes it one of the store.
func (in *Incoming) Finish(ctx context.Context) error {
	if err := in.finish(ctx); err != nil {
		return fmt.Errorf("receive blob %s: %w", in.d.Digest, advise(err))
	}
	return nil
}

// Close lets go of the blob. What has come of it stays for the next one, for a day at
// least.
func (in *Incoming) Close() error { return in.lock.Release() }

// Discard lets go of the blob and forgets what has come of it.
func (in *Incoming) Discard() error { return in.lock.Remove() }

// takeIncoming adds what came of blobs that nobody has gone on with for long.
func (c *collection) takeIncoming() error {
	entries, err := os.ReadDir(c.store.path("incoming"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := c.store.path("incoming", e.Name())
		st, err := os.Stat(path)
		if err != nil || time.Since(st.ModTime()) < incomingKept {
			continue
		}
		lock, err := lockfile.Try(path, lockfile.Exclusive)
		if errors.Is(err, errs.ErrConflict) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		c.victims = append(c.victims, victim{path: path, what: Object{Kind: "partial blob", ID: e.Name()}, lock: lock})
	}
	return nil
}
