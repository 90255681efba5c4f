package download

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/store"
)

const (
	// wholeSize is up to which size a blob is one request.
	wholeSize = 16 << 20
	// partSize is how much one request asks for of a larger one; a multiple of
	// store.IncomingBlock.
	partSize = 8 << 20
	// smallSize is up to which size it is not worth while to keep parts.
	smallSize = 256 << 10
	// perBlob is the most connections for one blob, total for all of them.
	perBlob = 4
	total   = 6
)

// A Source is where blobs come from: a content.Fetcher that may be able to give parts.
type Source interface {
	content.Fetcher
	// FetchRange opens n bytes of a blob from off on, unverified; errs.ErrUnsupported
	// where only whole blobs are to be had.
	FetchRange(ctx context.Context, d image.Descriptor, off, n int64) (io.ReadCloser, error)
}

// A Downloader brings blobs of one source into a store. It is safe for concurrent use.
type Downloader struct {
	store *store.Store
	src   Source
	tell  func(content.Event)
	conns *semaphore.Weighted

	mu         sync.Mutex
	distrusted map[digest.Digest]bool // blobs whose bytes were wrong once
}

// New makes a downloader. tell hears of every blob; it may be called concurrently.
func New(s *store.Store, src Source, tell func(content.Event)) *Downloader {
	if tell == nil {
		tell = func(content.Event) {}
	}
	return &Downloader{store: s, src: src, tell: tell, conns: semaphore.NewWeighted(total)}
}

// Layer brings the layer d into the store, unless it is there, and unpacks it. One
// whose tree is there, under another digest, is not fetched. Otherwise the blob is
// there too in the end, even where the layer does not stand alone
// (*layer.MissingLinkError).
func (w *Downloader) Layer(ctx context.Context, d image.Descriptor, diffID digest.Digest) error {
	if _, err := w.store.LayerByDiffID(ctx, diffID); err == nil {
		there, err := w.store.Exists(ctx, d)
		if err == nil && !there {
			err = w.store.NoteUnfetched(d.Digest)
		}
		w.tell(content.Event{Blob: d, State: content.Exists, Bytes: d.Size})
		return err
	}
	unpack := func(in *store.Incoming) error {
		_, err := w.store.UnpackIncoming(ctx, in, diffID)
		return err
	}
	if there, err := w.blob(ctx, d, unpack); !there || err != nil {
		return err
	}
	_, err := w.store.Unpack(ctx, d, diffID)
	return err
}

// Blob brings the blob d into the store, unless it is there.
func (w *Downloader) Blob(ctx context.Context, d image.Descriptor) error {
	_, err := w.blob(ctx, d, func(in *store.Incoming) error { return in.Finish(ctx) })
	if err == nil {
		err = w.store.ForgetUnfetched(d.Digest)
	}
	return err
}

// blob brings d to use, which makes it one of the store. there says that nothing came
// by way of use: it was there, or is so small that it came at once.
func (w *Downloader) blob(ctx context.Context, d image.Descriptor, use func(*store.Incoming) error) (there bool, err error) {
	if ok, err := w.store.Exists(ctx, d); err != nil {
		return false, err
	} else if ok {
		w.tell(content.Event{Blob: d, State: content.Exists, Bytes: d.Size})
		return true, nil
	}
	w.tell(content.Event{Blob: d, State: content.Started})
	if d.Size <= smallSize {
		if err := w.atOnce(ctx, d); err != nil {
			return false, err
		}
		w.tell(content.Event{Blob: d, State: content.Done, Bytes: d.Size})
		return true, nil
	}
	for {
		in, err := w.store.Receive(ctx, d)
		if err != nil {
			return false, err
		}
		if in == nil { // another process brought it
			w.tell(content.Event{Blob: d, State: content.Done, Bytes: d.Size})
			return true, nil
		}
		fresh := isWhole(in.Missing(), d)
		err = w.receive(ctx, in, d, use)
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			return false, errors.Join(err, in.Discard()) // it would keep the disk full
		}
		in.Close()
		if !errors.Is(err, errs.ErrDigest) || fresh && !w.distrust(d) {
			return false, err
		}
		// What an earlier process left was wrong, as after a loss of power, or a mirror
		// gave the wrong bytes: once more.
	}
}

// distrust makes the source ask no mirror for d. It says whether that is news.
func (w *Downloader) distrust(d image.Descriptor) bool {
	t, ok := w.src.(interface{ Distrust(digest.Digest) })
	if !ok {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.distrusted[d.Digest] {
		return false
	}
	if w.distrusted == nil {
		w.distrusted = map[digest.Digest]bool{}
	}
	w.distrusted[d.Digest] = true
	t.Distrust(d.Digest)
	return true
}

// isWhole says whether all of d is missing.
func isWhole(missing []store.Span, d image.Descriptor) bool {
	return len(missing) == 1 && missing[0] == store.Span{End: d.Size}
}

// atOnce is for a small blob.
func (w *Downloader) atOnce(ctx context.Context, d image.Descriptor) error {
	if err := w.conns.Acquire(ctx, 1); err != nil {
		return err
	}
	defer w.conns.Release(1)
	rc, err := w.src.Fetch(ctx, d)
	if err != nil {
		return err
	}
	defer rc.Close()
	return w.store.Push(ctx, d, rc)
}

// receive fetches what is missing and uses the blob, at the same time.
func (w *Downloader) receive(ctx context.Context, in *store.Incoming, d image.Descriptor, use func(*store.Incoming) error) error {
	missing := in.Missing()
	p := &progress{d: d, tell: w.tell, n: d.Size}
	for _, m := range missing {
		p.n -= m.End - m.Start
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fetched := make(chan error, 1)
	go func() {
		err := w.fetch(ctx, in, d, missing, p)
		if err != nil {
			in.Fail(err)
		} else {
			w.tell(content.Event{Blob: d, State: content.Done, Bytes: d.Size})
		}
		fetched <- err
	}()
	err := use(in)
	if err != nil {
		cancel(err)
	}
	if ferr := <-fetched; ferr != nil && (err == nil || errors.Is(err, ferr)) {
		return ferr
	}
	return err
}

// fetch brings the missing parts, the first ones first.
func (w *Downloader) fetch(ctx context.Context, in *store.Incoming, d image.Descriptor, missing []store.Span, p *progress) error {
	if d.Size <= wholeSize && isWhole(missing, d) {
		return w.whole(ctx, in, d, p)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(perBlob)
	for _, m := range missing {
		for at := m.Start; at < m.End && gctx.Err() == nil; {
			// Parts end at multiples, so that what an earlier process began is completed.
			end := min((at/partSize+1)*partSize, m.End)
			part := store.Span{Start: at, End: end}
			g.Go(func() error { return w.part(gctx, in, d, part, p) })
			at = end
		}
	}
	err := g.Wait()
	if errors.Is(err, errs.ErrUnsupported) && ctx.Err() == nil {
		return w.whole(ctx, in, d, p)
	}
	return err
}

// part fetches a part of the blob.
func (w *Downloader) part(ctx context.Context, in *store.Incoming, d image.Descriptor, part store.Span, p *progress) error {
	if err := w.conns.Acquire(ctx, 1); err != nil {
		return err
	}
	defer w.conns.Release(1)
	rc, err := w.src.FetchRange(ctx, d, part.Start, part.End-part.Start)
	if err != nil {
		return err
	}
	defer rc.Close()
	return pour(in, rc, part, p)
}

// whole fetches the blob by one request, where parts are not worth it or not to be had.
func (w *Downloader) whole(ctx context.Context, in *store.Incoming, d image.Descriptor, p *progress) error {
	if err := w.conns.Acquire(ctx, 1); err != nil {
		return err
	}
	defer w.conns.Release(1)
	rc, err := w.src.Fetch(ctx, d)
	if err != nil {
		return err
	}
	defer rc.Close()
	p.restart()
	return pour(in, rc, store.Span{Start: 0, End: d.Size}, p)
}

// buffers are for pour.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

const bufferSize = 256 << 10

// pour writes what r has, the bytes of part, block by block. What came before r
// failed is kept.
func pour(in *store.Incoming, r io.Reader, part store.Span, p *progress) error {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	held := 0
	for at := part.Start; at < part.End; {
		n, err := r.Read(buf[held:])
		held += n
		full := held - held%store.IncomingBlock
		if at+int64(held) >= part.End {
			full = int(min(int64(held), part.End-at))
		}
		if full == bufferSize || full > 0 && (err != nil || at+int64(full) == part.End) {
			if _, werr := in.WriteAt(buf[:full], at); werr != nil {
				return werr
			}
			p.add(int64(full))
			at += int64(full)
			held = copy(buf[:], buf[full:held])
		}
		if at < part.End && err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// progress tells how much of a blob is there.
type progress struct {
	d    image.Descriptor
	tell func(content.Event)
	mu   sync.Mutex
	n    int64
}

func (p *progress) add(n int64) {
	p.mu.Lock()
	p.n = min(p.n+n, p.d.Size)
	at := p.n
	p.mu.Unlock()
	p.tell(content.Event{Blob: p.d, State: content.Moving, Bytes: at})
}

// restart is for a blob that comes from its beginning again.
func (p *progress) restart() {
	p.mu.Lock()
	p.n = 0
	p.mu.Unlock()
}
