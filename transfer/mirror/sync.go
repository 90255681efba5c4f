package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
)

// A Memory remembers what was copied, so that what did not change costs one question
// to the source. It is safe for concurrent use.
type Memory interface {
	// Recall says what was last copied to the name, and when it was last seen there.
	Recall(name string) (Copied, bool)
	Remember(name string, c Copied)
}

// Copied is what a name was found to stand for.
type Copied struct {
	Source digest.Digest `json:"source"` // of the whole image at the source
	Of     string        `json:"of"`     // which part of it: Job.Platforms
	At     time.Time     `json:"at"`
}

// An Outcome is what became of one tag.
type Outcome struct {
	From   string
	To     string
	Action string // "copied", "unchanged", "deleted", "failed", and "copy", "delete" in a dry run
	Digest digest.Digest
	Err    error
}

// SyncOptions configure Sync. The zero value works.
type SyncOptions struct {
	// Memory is nil where there is none: the destination is asked each time.
	Memory Memory
	// DryRun says what would be copied and deleted, and does not.
	DryRun bool
	// Progress hears of every blob, Done of every tag. They may be called concurrently.
	Progress func(content.Event)
	Done     func(Outcome)
}

// verifyAfter is the default of Plan.VerifyAfter.
const verifyAfter = 24 * time.Hour

// Sync does what the plan says. A tag that fails does not keep the others from being
// copied; the error then counts them.
func Sync(ctx context.Context, p Places, plan Plan, o SyncOptions) error {
	s := &syncing{places: p, o: o, verifyAfter: verifyAfter}
	if plan.VerifyAfter != nil {
		s.verifyAfter = time.Duration(*plan.VerifyAfter)
	}
	if plan.Concurrency <= 0 {
		plan.Concurrency = 4
	}
	s.tags.SetLimit(plan.Concurrency)
	for i := range plan.Jobs {
		if err := s.job(ctx, &plan.Jobs[i]); err != nil {
			s.done(Outcome{From: plan.Jobs[i].From, To: plan.Jobs[i].To, Action: "failed", Err: err})
		}
	}
	_ = s.tags.Wait()
	for _, c := range s.closers {
		_ = c()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.failed > 0 {
		return fmt.Errorf("sync: %d of %d failed", s.failed, s.total)
	}
	return nil
}

// A syncing is the state of one Sync.
type syncing struct {
	places      Places
	o           SyncOptions
	verifyAfter time.Duration
	tags        errgroup.Group
	closers     []func() error

	mu            sync.Mutex
	failed, total int
}

func (s *syncing) done(o Outcome) {
	s.mu.Lock()
	s.total++
	if o.Err != nil {
		s.failed++
	}
	s.mu.Unlock()
	if s.o.Done != nil {
		s.o.Done(o)
	}
}

// job begins to copy the tags of one repository.
func (s *syncing) job(ctx context.Context, j *Job) error {
	from, err := ParseLocation(j.From)
	if err != nil {
		return err
	}
	src, err := s.places.Source(ctx, from)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, src.Close)
	to, err := ParseLocation(j.To)
	if err != nil {
		return err
	}
	dst, err := s.places.Target(ctx, to)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, dst.Close)
	tags, known := j.listed()
	if !known {
		all, err := src.Tags(ctx)
		if err != nil {
			return err
		}
		tags = slices.DeleteFunc(slices.Clone(all), func(t string) bool { return DigestTag(t) || !j.wants(t) })
		if j.Delete {
			s.remove(ctx, j, dst, all)
		}
	}
	for _, tag := range tags {
		t := &syncedTag{s: s, job: j, src: src, dst: dst, tag: tag, name: to.Tagged(from, tag)}
		s.tags.Go(func() error {
			out := t.sync(ctx)
			out.From, out.To = from.Name+":"+tag, t.name
			s.done(out)
			return nil
		})
	}
	return nil
}

// remove deletes the tags of dst that the source has not.
func (s *syncing) remove(ctx context.Context, j *Job, dst Target, have []string) {
	there, ok := dst.(*registryPlace)
	if !ok {
		return
	}
	tags, err := there.Tags(ctx)
	if errors.Is(err, errs.ErrNotFound) {
		return
	}
	if err != nil {
		s.done(Outcome{From: j.From, To: j.To, Action: "failed", Err: err})
		return
	}
	for _, t := range tags {
		if DigestTag(t) || !j.wants(t) || slices.Contains(have, t) {
			continue
		}
		out := Outcome{From: j.From, To: there.Sibling("", t), Action: "delete"}
		if !s.o.DryRun {
			out.Action = "deleted"
			if out.Err = there.Delete(ctx, t); out.Err != nil {
				out.Action = "failed"
			}
		}
		s.done(out)
	}
}

// A syncedTag is one tag to be kept equal.
type syncedTag struct {
	s    *syncing
	job  *Job
	src  Source
	dst  Target
	tag  string
	name string // at dst
}

func (t *syncedTag) sync(ctx context.Context) Outcome {
	d, err := t.src.Resolve(ctx, t.tag)
	if err != nil {
		return Outcome{Action: "failed", Err: err}
	}
	now := Copied{Source: d.Digest, Of: strings.Join(t.job.Platforms, ","), At: time.Now().UTC()}
	if t.unchanged(ctx, now) {
		return Outcome{Action: "unchanged", Digest: d.Digest}
	}
	if t.s.o.DryRun {
		return Outcome{Action: "copy", Digest: d.Digest}
	}
	o := CopyOptions{Platforms: t.job.platforms, ImageOnly: t.job.ImageOnly, Progress: t.s.o.Progress}
	root, err := Copy(ctx, t.dst, t.name, t.src, t.tag, o)
	if err != nil {
		return Outcome{Action: "failed", Err: err}
	}
	t.remember(now)
	return Outcome{Action: "copied", Digest: root.Digest}
}

// unchanged says whether the destination has what the source has now.
func (t *syncedTag) unchanged(ctx context.Context, now Copied) bool {
	var before Copied
	known := false
	if m := t.s.o.Memory; m != nil {
		before, known = m.Recall(t.name)
		known = known && before.Source == now.Source && before.Of == now.Of
		if age := now.At.Sub(before.At); known && age >= 0 && age < t.s.verifyAfter {
			return true
		}
	}
	resolver, ok := t.dst.(content.Resolver)
	if !ok {
		return false
	}
	d, err := resolver.Resolve(ctx, t.name)
	if err != nil || d.Digest != now.Source && !(known && now.Of != "") {
		return false
	}
	t.remember(now)
	return true
}

func (t *syncedTag) remember(c Copied) {
	if t.s.o.Memory != nil {
		t.s.o.Memory.Remember(t.name, c)
	}
}
