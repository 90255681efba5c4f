//go:build linux

package history

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/lockfile"
	"github.com/mica-build/mica/store"
)

// A History is the records of the builds of one store.
type History struct {
	store *store.Store
	dir   string
}

// Open gives the history of st; nothing is read or made yet.
func Open(st *store.Store) *History {
	return &History{store: st, dir: filepath.Join(st.Root(), "builds")}
}

func (h *History) path(id ID, name ...string) string {
	return filepath.Join(append([]string{h.dir, string(id)}, name...)...)
}

// ids lists the builds there are, oldest first.
func (h *History) ids() ([]ID, error) {
	entries, err := os.ReadDir(h.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list builds: %w", err)
	}
	var out []ID
	for _, e := range entries {
		if id := ID(e.Name()); id.valid() {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out, nil
}

// List gives all builds, newest first. One whose record is damaged is left out.
func (h *History) List() ([]*Build, error) {
	ids, err := h.ids()
	if err != nil {
		return nil, err
	}
	var out []*Build
	for _, id := range slices.Backward(ids) {
		if b, err := h.read(id); err == nil {
			out = append(out, b)
		}
	}
	return out, nil
}

// Build finds one build by its id or a part of it that only it has at its
// beginning or end; "" is the latest. errs.ErrNotFound if there is none.
func (h *History) Build(name string) (*Build, error) {
	ids, err := h.ids()
	if err != nil {
		return nil, err
	}
	if name == "" {
		if len(ids) == 0 {
			return nil, fmt.Errorf("no build is recorded: %w", errs.ErrNotFound)
		}
		return h.read(ids[len(ids)-1])
	}
	var found []ID
	for _, id := range ids {
		if string(id) == name {
			found = []ID{id}
			break
		}
		if strings.HasPrefix(string(id), name) || strings.HasSuffix(string(id), name) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("build %s: %w", name, errs.ErrNotFound)
	case 1:
		return h.read(found[0])
	}
	return nil, fmt.Errorf("build %s: %w: %d builds have ids like this", name, errs.ErrInvalid, len(found))
}

// Latest is the latest build for which ok holds; errs.ErrNotFound if there is none.
func (h *History) Latest(ok func(*Build) bool) (*Build, error) {
	ids, err := h.ids()
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Backward(ids) {
		if b, err := h.read(id); err == nil && ok(b) {
			return b, nil
		}
	}
	return nil, fmt.Errorf("no such build is recorded: %w", errs.ErrNotFound)
}

// read reads a build's meta.json.
func (h *History) read(id ID) (*Build, error) {
	raw, err := os.ReadFile(h.path(id, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("build %s: %w", id, errs.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", id, err)
	}
	b, err := decodeBuild(raw)
	if err != nil || b.ID != id {
		return nil, fmt.Errorf("build %s: record: %w: %w", id, errs.ErrInvalid, err)
	}
	if b.State == Running && !h.locked(id) {
		b.State = Interrupted
		// It may have ended between the two looks.
		if raw, err := os.ReadFile(h.path(id, "meta.json")); err == nil {
			if again, err := decodeBuild(raw); err == nil && again.State != Running {
				return again, nil
			}
		}
	}
	return b, nil
}

func decodeBuild(raw []byte) (*Build, error) {
	b := &Build{}
	if err := json.Unmarshal(raw, b); err != nil {
		return nil, err
	}
	if b.Same != "" && !b.Same.valid() {
		return nil, fmt.Errorf("same as %q: %w", b.Same, errs.ErrInvalid)
	}
	return b, nil
}

// locked says whether the process of the build lives.
func (h *History) locked(id ID) bool {
	path := h.path(id, "lock")
	if _, err := os.Stat(path); err != nil {
		return false
	}
	l, err := lockfile.Try(path, lockfile.Shared)
	if err == nil {
		_ = l.Release()
	}
	return errors.Is(err, errs.ErrConflict)
}

// Steps gives the steps of a build that ended so far, in the order in which
// they began. Those of a build that found all as it was are the earlier one's,
// as cached.
func (h *History) Steps(b *Build) ([]*Step, error) {
	if b.Same != "" {
		steps, err := h.Steps(&Build{ID: b.Same})
		for _, s := range steps {
			s.asCached()
		}
		return steps, err
	}
	raw, err := os.ReadFile(h.path(b.ID, "steps.jsonl"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("steps of build %s: %w", b.ID, err)
	}
	steps := decodeSteps(raw)
	for _, s := range steps {
		s.Bytes = b.Sizes[s.Layer]
	}
	return steps, nil
}

// decodeSteps reads a steps.jsonl. A line that a kill or a full disk cut is no step.
func decodeSteps(raw []byte) []*Step {
	var out []*Step
	for _, line := range bytes.Split(raw, []byte("\n")) {
		s := &Step{}
		if len(line) > 0 && json.Unmarshal(line, s) == nil && s.Number > 0 {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b *Step) int { return a.Number - b.Number })
	return out
}

// asCached makes s what it is in a later build that found nothing changed.
func (s *Step) asCached() {
	if s.State != StepSource {
		s.State = StepCached
	}
	s.Wall, s.CPU, s.Layer, s.Bytes, s.Logged, s.NoCache = 0, 0, "", 0, 0, false
}

// Log opens what a step wrote; errs.ErrNotFound when it wrote nothing.
func (h *History) Log(b *Build, number int) (io.ReadSeekCloser, error) {
	f, err := os.Open(h.path(b.ID, strconv.Itoa(number)+".log"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("output of step %d of build %s: %w", number, b.ID, errs.ErrNotFound)
	}
	return f, err
}

// Logs lists the numbers of the steps that wrote something.
func (h *History) Logs(b *Build) ([]int, error) {
	entries, err := os.ReadDir(h.path(b.ID))
	if err != nil {
		return nil, fmt.Errorf("logs of build %s: %w", b.ID, err)
	}
	var out []int
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".log"); ok {
			if n, err := strconv.Atoi(name); err == nil {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

// Kept reads what was left to look into the step that failed; errs.ErrNotFound
// when there is nothing.
func (h *History) Kept(b *Build) ([]byte, error) {
	raw, err := os.ReadFile(h.path(b.ID, "kept.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("failed step of build %s: %w", b.ID, errs.ErrNotFound)
	}
	return raw, err
}

// FindStep finds a step's number by the number or by words of its name that no
// other step has. errs.ErrNotFound, or errs.ErrInvalid for several.
func (h *History) FindStep(b *Build, name string) (int, error) {
	steps, err := h.Steps(b)
	if err != nil {
		return 0, err
	}
	n, nerr := strconv.Atoi(strings.TrimPrefix(name, "#"))
	var found []int
	for _, s := range steps {
		if nerr == nil && s.Number == n {
			return n, nil
		}
		if nerr != nil && strings.Contains(strings.ToLower(s.Name), strings.ToLower(name)) {
			found = append(found, s.Number)
		}
	}
	switch {
	case nerr == nil && n > 0 && b.State != Done: // it may be one that did not end
		return n, nil
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return 0, fmt.Errorf("step %q of build %s: %w: %d steps are called like this", name, b.ID, errs.ErrInvalid, len(found))
	}
	return 0, fmt.Errorf("step %q of build %s: %w", name, b.ID, errs.ErrNotFound)
}

// StepName is the name of a step; "" for one that did not end.
func (h *History) StepName(b *Build, number int) (string, error) {
	steps, err := h.Steps(b)
	if err != nil {
		return "", err
	}
	for _, s := range steps {
		if s.Number == number {
			return s.Name, nil
		}
	}
	return "", nil
}

// LayerSize is how many bytes the layer that the step made has, -1 when nobody
// knows any more.
func (h *History) LayerSize(ctx context.Context, s *Step) int64 {
	if s.Bytes > 0 || s.Layer == "" {
		return s.Bytes
	}
	l, err := h.store.Layer(ctx, store.LayerID(s.Layer))
	switch {
	case err != nil:
		return -1
	case l.Size > 0:
		return l.Size
	}
	if l, err = h.store.Identify(ctx, l.ID); err != nil {
		return -1
	}
	return l.Size
}
