package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// A State says what is happening to a blob.
type State int

// The states of a blob in Copy. Started and Moving are followed by others, the
// rest are final.
const (
	Started State = iota // the copy of the blob begins
	Moving               // Event.Bytes of it have been read
	Done                 // it is at the destination now
	Exists               // it was there before
	Mounted              // the registry took it from Event.From
	Skipped              // left out: a foreign layer, or CopyOptions.Skip said so
)

// String is the state's name in lower case.
func (s State) String() string {
	names := [...]string{"started", "moving", "done", "exists", "mounted", "skipped"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("state %d", int(s))
	}
	return names[s]
}

// An Event is one step in the copy of one blob.
type Event struct {
	Blob  image.Descriptor
	State State
	Bytes int64  // read so far; the blob's size in a final state
	From  string // the repository a blob was mounted from
}

// A flight is the copy of one blob, shared by all that refer to it.
type flight struct {
	done chan struct{}
	err  error
}

type flightState struct {
	mu      sync.Mutex
	flights map[digest.Digest]*flight
}

// once runs do for the first caller with d's digest; the others get its result.
func (s *flightState) once(ctx context.Context, d image.Descriptor, do func() error) error {
	s.mu.Lock()
	f, ok := s.flights[d.Digest]
	if !ok {
		if len(s.flights) >= maxNodes {
			s.mu.Unlock()
			return fmt.Errorf("more than %d blobs: %w", maxNodes, errs.ErrTooLarge)
		}
		f = &flight{done: make(chan struct{})}
		s.flights[d.Digest] = f
	}
	s.mu.Unlock()
	if !ok {
		f.err = do()
		close(f.done)
		return f.err
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// slot waits for one of the places for blobs under way.
func (c *copier) slot(ctx context.Context) (release func(), err error) {
	select {
	case c.slots <- struct{}{}:
		return func() { <-c.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// read gives a manifest's, index's or config's bytes, from the destination if it has them.
func (c *copier) read(ctx context.Context, d image.Descriptor) (raw []byte, there bool, err error) {
	release, err := c.slot(ctx)
	if err != nil {
		return nil, false, err
	}
	defer release()
	there, err = c.dst.Exists(ctx, d)
	if err != nil {
		return nil, false, err
	}
	if f, ok := c.dst.(Fetcher); ok && there {
		raw, err = ReadAll(ctx, f, d)
		if err == nil {
			return raw, true, nil
		}
		there = false
	}
	raw, err = ReadAll(ctx, c.src, d)
	return raw, there, err
}

// write pushes bytes that were read before.
func (c *copier) write(ctx context.Context, d image.Descriptor, raw []byte, there bool) error {
	if there {
		c.tell(Event{Blob: d, State: Exists, Bytes: d.Size})
		return nil
	}
	release, err := c.slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	c.tell(Event{Blob: d, State: Started})
	if err := c.dst.Push(ctx, d, bytes.NewReader(raw)); err != nil {
		return err
	}
	c.tell(Event{Blob: d, State: Done, Bytes: d.Size})
	return nil
}

// layer copies a layer unless it is to be left out.
func (c *copier) layer(ctx context.Context, d image.Descriptor, diffID digest.Digest) error {
	skip := !c.o.Foreign && IsForeign(d.MediaType)
	if !skip && c.o.Skip != nil {
		var err error
		if skip, err = c.o.Skip(ctx, d, diffID); err != nil {
			return err
		}
	}
	if skip {
		c.tell(Event{Blob: d, State: Skipped, Bytes: d.Size})
		return nil
	}
	return c.blob(ctx, d)
}

// IsForeign says whether a layer may not be distributed: it is to be had from
// where its URLs lead, and registries do not ask for it.
func IsForeign(mediaType string) bool {
	return mediaType == image.DockerForeignLayer || strings.Contains(mediaType, ".layer.nondistributable.")
}

// blob copies one blob as a stream.
func (c *copier) blob(ctx context.Context, d image.Descriptor) error {
	release, err := c.slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	there, err := c.dst.Exists(ctx, d)
	if err != nil {
		return err
	}
	if there {
		c.tell(Event{Blob: d, State: Exists, Bytes: d.Size})
		return nil
	}
	if mounted, err := c.mount(ctx, d); mounted || err != nil {
		return err
	}
	for try := 0; ; try++ {
		err := c.stream(ctx, d)
		if err == nil || try >= maxAttempts || ctx.Err() != nil || !temporary(err) {
			return err
		}
	}
}

// maxAttempts is how often a stream is started again; whoever keeps the
// destination has its own retries, and waits, for single requests.
const maxAttempts = 3

// temporary says whether err calls itself so.
func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// stream reads the blob from src into dst once.
func (c *copier) stream(ctx context.Context, d image.Descriptor) error {
	c.tell(Event{Blob: d, State: Started})
	rc, err := c.src.Fetch(ctx, d)
	if err != nil {
		return err
	}
	defer rc.Close()
	r := Verified(rc, d)
	if c.o.Progress != nil {
		r = &counter{r: r, tell: func(n int64) { c.tell(Event{Blob: d, State: Moving, Bytes: n}) }}
	}
	if err := c.dst.Push(ctx, d, r); err != nil {
		return err
	}
	c.tell(Event{Blob: d, State: Done, Bytes: d.Size})
	return nil
}

// mount tries the repositories that may have d already.
func (c *copier) mount(ctx context.Context, d image.Descriptor) (bool, error) {
	m, ok := c.dst.(Mounter)
	if !ok || c.o.MountFrom == nil {
		return false, nil
	}
	for _, from := range c.o.MountFrom(d) {
		mounted, err := m.Mount(ctx, d, from)
		if mounted {
			c.tell(Event{Blob: d, State: Mounted, Bytes: d.Size, From: from})
			return true, nil
		}
		if err != nil && ctx.Err() != nil {
			return false, err
		}
		if errors.Is(err, errs.ErrUnauthorized) {
			continue // we may push here and yet not read there
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

func (c *copier) tell(e Event) {
	if c.o.Progress != nil {
		c.o.Progress(e)
	}
}

// progressStep is how many bytes lie between two Moving events of a blob.
const progressStep = 256 << 10

// A counter tells how much has been read.
type counter struct {
	r       io.Reader
	n, told int64
	tell    func(int64)
}

func (c *counter) verifies(d image.Descriptor) bool {
	v, ok := c.r.(interface{ verifies(image.Descriptor) bool })
	return ok && v.verifies(d)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.n-c.told >= progressStep || (err != nil && c.n > c.told) {
		c.told = c.n
		c.tell(c.n)
	}
	return n, err
}
