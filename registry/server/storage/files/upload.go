package files

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/fault"
	"github.com/mica-build/mica/registry/server/storage"
)

// An upload is what is known in memory of one that began in this process: the
// hash of what it has. Without it the file is read once more.
type upload struct {
	alg    digest.Algorithm
	hash   hash.Hash
	hashed int64
	busy   bool
}

// maxLive bounds the uploads that are kept in mind, as many as clients forget.
const maxLive = 4096

// Start begins an upload. Its name tells the repository that it belongs to.
func (b *blobs) Start(_ context.Context, repo string, a digest.Algorithm) (string, error) {
	id := rand.Text() + "-" + ownerMark(repo)
	f, err := os.OpenFile(b.uploadPath(id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("start upload: %w", err)
	}
	if err := f.Close(); err != nil {
		return "", fmt.Errorf("start upload: %w", err)
	}
	b.remember(id, &upload{alg: a, hash: a.Hash()})
	return id, nil
}

func ownerMark(repo string) string {
	sum := sha256.Sum256([]byte(repo))
	return hex.EncodeToString(sum[:8])
}

func (b *blobs) uploadPath(id string) string { return filepath.Join(b.root, "uploads", id) }

// find checks that id may be an upload of repo, and gives its path.
func (b *blobs) find(repo, id string) (string, error) {
	name, owner, ok := strings.Cut(id, "-")
	if !ok || owner != ownerMark(repo) || len(name) != len(rand.Text()) ||
		strings.ContainsFunc(name, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '2' || r > '7') }) {
		return "", fmt.Errorf("upload: %w", errs.ErrNotFound)
	}
	return b.uploadPath(id), nil
}

func (b *blobs) remember(id string, u *upload) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for old, v := range b.live {
		if len(b.live) < maxLive {
			break
		}
		if !v.busy {
			delete(b.live, old)
		}
	}
	b.live[id] = u
}

func (b *blobs) forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.live, id)
}

// Upload gives an upload's size.
func (b *blobs) Upload(_ context.Context, repo, id string) (int64, error) {
	path, err := b.find(repo, id)
	if err != nil {
		return 0, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return 0, missing(err)
	}
	return st.Size(), nil
}

// A writing is an upload that is written to, or finished, by one request.
type writing struct {
	b    *blobs
	id   string
	f    *os.File
	size int64
	u    *upload
}

// begin claims an upload.
func (b *blobs) begin(repo, id string) (*writing, error) {
	path, err := b.find(repo, id)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	u := b.live[id]
	if u == nil {
		u = &upload{}
		b.live[id] = u
	}
	busy := u.busy
	u.busy = true
	b.mu.Unlock()
	if busy {
		return nil, fmt.Errorf("upload %s: in use: %w", id, errs.ErrConflict)
	}
	w := &writing{b: b, id: id, u: u}
	if err := w.open(path); err != nil {
		w.end()
		if errors.Is(err, errs.ErrNotFound) {
			b.forget(id)
		}
		return nil, fmt.Errorf("upload %s: %w", id, err)
	}
	return w, nil
}

func (w *writing) open(path string) (err error) {
	if w.f, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return missing(err)
	}
	if err := claim(w.f); err != nil {
		return err
	}
	st, err := w.f.Stat()
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return missing(err) // it was finished, or expired, before we had it
	}
	w.size = st.Size()
	return nil
}

// end lets others at the upload.
func (w *writing) end() {
	if w.f != nil {
		w.f.Close()
	}
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	w.u.busy = false
}

// Write appends to an upload.
func (b *blobs) Write(_ context.Context, repo, id string, offset int64, r io.Reader) (int64, error) {
	w, err := b.begin(repo, id)
	if err != nil {
		return 0, err
	}
	defer w.end()
	if w.size != offset {
		return w.size, fmt.Errorf("upload stands at %d, not %d: %w", w.size, offset, errs.ErrInvalid)
	}
	if w.u.hash == nil || w.u.hashed != offset {
		w.u.hash = nil // Finish reads it
	}
	buf := b.buffer()
	defer b.giveBack(buf)
	for {
		n, err := fill(r, buf)
		if n > 0 {
			if werr := w.append(buf[:n]); werr != nil {
				return w.size, werr
			}
		}
		if err == io.EOF {
			return w.size, nil
		}
		if err != nil {
			return w.size, err
		}
	}
}

// fill reads until buf is full or r fails: large writes take less than many small
// ones. Its error is r's.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

func (w *writing) append(p []byte) error {
	if n, err := w.f.WriteAt(p, w.size); err != nil {
		_ = w.f.Truncate(w.size) // what was not taken whole was not hashed
		return fmt.Errorf("write upload: %d of %d bytes: %w", n, len(p), err)
	}
	w.size += int64(len(p))
	if w.u.hash != nil {
		_, _ = w.u.hash.Write(p) // a hash does not fail
		w.u.hashed = w.size
	}
	return nil
}

// Large buffers are for maxBuffers writers at once, which is enough to keep the
// machine busy; the others, who are slow or many, have small ones.
const (
	maxBuffers  = 16
	largeBuffer = 256 << 10
	smallBuffer = 8 << 10
)

func (b *blobs) buffer() []byte {
	select {
	case buf := <-b.spare:
		return buf
	default:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.large < maxBuffers {
		b.large++
		return make([]byte, largeBuffer)
	}
	return make([]byte, smallBuffer)
}

func (b *blobs) giveBack(buf []byte) {
	if len(buf) == largeBuffer {
		b.spare <- buf
	}
}

// Finish verifies an upload. The file stays claimed until it is published.
func (b *blobs) Finish(_ context.Context, repo, id string, d digest.Digest) (storage.Finished, error) {
	w, err := b.begin(repo, id)
	if err != nil {
		return nil, err
	}
	f := &finished{w, d}
	if err := w.verify(d); err != nil {
		f.Discard()
		return nil, fmt.Errorf("upload %s: %w", id, err)
	}
	return f, nil
}

// verify holds the upload against d.
func (w *writing) verify(d digest.Digest) error {
	sum := w.u.hash
	if sum == nil || w.u.alg != d.Algorithm() || w.u.hashed != w.size {
		sum = d.Algorithm().Hash()
		if _, err := io.Copy(sum, io.NewSectionReader(w.f, 0, w.size)); err != nil {
			return err
		}
	}
	if digest.NewDigest(d.Algorithm(), sum) != d {
		return errs.ErrDigest
	}
	if w.b.o.Durable {
		return w.f.Sync()
	}
	return nil
}

// finished is an upload that is verified.
type finished struct {
	w *writing
	d digest.Digest
}

// Size is the blob's size.
func (f *finished) Size() int64 { return f.w.size }

// Publish gives the file its place.
func (f *finished) Publish() error {
	b := f.w.b
	defer f.w.end()
	defer b.forget(f.w.id)
	from, to := b.uploadPath(f.w.id), b.path(f.d)
	if st, err := os.Stat(to); err == nil && st.Size() == f.w.size {
		// To replace a file has filesystems write the new one to the disk at once.
		return fault.Remove(from)
	}
	err := fault.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		err = fault.Rename(from, to)
	}
	if err == nil && b.o.Durable {
		err = syncDirs(filepath.Dir(to))
	}
	return err
}

// Discard removes the file.
func (f *finished) Discard() {
	_ = fault.Remove(f.w.b.uploadPath(f.w.id)) // if not, it expires
	f.w.end()
	f.w.b.forget(f.w.id)
}

// syncDirs has a directory, and those it lies in up to the registry's, know what
// is in them after power loss.
func syncDirs(dir string) error {
	for {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
		if st, err := os.Stat(filepath.Join(dir, "registry")); err == nil && st.Mode().IsRegular() || dir == filepath.Dir(dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

// Cancel forgets an upload.
func (b *blobs) Cancel(_ context.Context, repo, id string) error {
	w, err := b.begin(repo, id)
	if err != nil {
		return err
	}
	err = fault.Remove(b.uploadPath(id))
	w.end()
	b.forget(id)
	return err
}
