package op

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/build/fileop"
	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/store"
)

// donation is what a file step leaves to the next step of its shape: which
// layer it made and which files it copied into it. When one of 10,000 files
// changed, the next layer shares the others with this one.
type donation struct {
	w    *World
	name string // of the state file
	old  *fileop.Donor

	mu    sync.Mutex
	files map[string]digest.Digest
}

// minDonation is the number of files from which sharing is worth a state file.
const minDonation = 64

// shape names what a step does, whatever the content of the trees it copies
// from. What it works on top of is part of it: a layer then never shares files
// with one that it is stacked on.
func (f *file) shape(in []solve.Value) (string, error) {
	inputs := make([]solve.InputKey, len(in))
	for i, v := range in {
		if f.changes(i) {
			inputs[i].Key = v.Key
		} else if v.Local != nil {
			inputs[i].Name = v.Local.Dir
		}
	}
	keys := make([]fileKey, len(f.op.Actions))
	for i, a := range f.op.Actions {
		raw, err := f.actionKey(a, nil)
		if err != nil {
			return "", err
		}
		keys[i] = fileKey{Input: a.Input, Secondary: a.SecondaryInput, Output: a.Output, Action: raw}
	}
	k, _, err := solve.NewPreimage("donor", keys, inputs...).Key()
	return "donor/" + string(k), err
}

// donation opens what an earlier step of this shape left. That there is none,
// or that it is damaged, only costs time.
func (f *file) donation(ctx context.Context, in []solve.Value) (*donation, error) {
	name, err := f.shape(in)
	if err != nil {
		return nil, err
	}
	d := &donation{w: f.w, name: name, files: map[string]digest.Digest{}}
	raw, err := f.w.Store.State(name)
	if err != nil {
		return d, nil
	}
	id, files, ok := decodeDonation(raw)
	if !ok {
		return d, nil
	}
	l, err := f.w.Store.Layer(ctx, id)
	if err != nil {
		return d, nil
	}
	if dir, err := os.Open(l.Dir); err == nil {
		d.old = &fileop.Donor{Dir: dir, Files: files}
	}
	return d, nil
}

func (d *donation) close() {
	if d.old != nil {
		d.old.Dir.Close()
	}
}

// offer lets the copy from src take files from the donor, and notes what it copies.
func (d *donation) offer(src *fileop.Source) {
	src.Donor = d.old
	src.Copied = func(target string, sum digest.Digest) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.files[target] = sum
	}
}

// save leaves the files of layer l, whose tree is there, to the next step. It
// only saves time, so failing to is no failure of the build.
func (d *donation) save(l *solve.Layer) {
	if t, err := l.Tree(context.Background()); err == nil && len(d.files) >= minDonation {
		_ = d.w.Store.PutState(d.name, encodeDonation(t.ID, d.files))
	}
}

// A donation on disk is the layer's id, a NUL, and for each file the 32 bytes
// of its digest, its path and a NUL.
func encodeDonation(id store.LayerID, files map[string]digest.Digest) []byte {
	var b bytes.Buffer
	b.WriteString(string(id) + "\x00")
	for path, d := range files {
		sum, err := hex.DecodeString(d.Encoded())
		if err != nil || len(sum) != 32 {
			continue
		}
		b.Write(sum)
		b.WriteString(path + "\x00")
	}
	return b.Bytes()
}

func decodeDonation(raw []byte) (store.LayerID, map[string]digest.Digest, bool) {
	id, raw, ok := bytes.Cut(raw, []byte{0})
	if !ok {
		return "", nil, false
	}
	files := map[string]digest.Digest{}
	for len(raw) > 0 {
		if len(raw) < 33 {
			return "", nil, false
		}
		sum := raw[:32]
		var path []byte
		if path, raw, ok = bytes.Cut(raw[32:], []byte{0}); !ok {
			return "", nil, false
		}
		files[string(path)] = digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(sum))
	}
	return store.LayerID(id), files, true
}

// stackDigests remembers the digests of files in one stack of layers, which
// never changes, for the length of a build.
type stackDigests struct {
	mu   sync.Mutex
	sums map[string]digest.Digest
}

var _ fileop.Digester = (*stackDigests)(nil)

// FileDigest implements fileop.Digester.
func (s *stackDigests) FileDigest(path string, _ *unix.Stat_t, open func() (*os.File, error)) (digest.Digest, error) {
	s.mu.Lock()
	d, ok := s.sums[path]
	s.mu.Unlock()
	if ok {
		return d, nil
	}
	f, err := open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	if d, err = digest.SHA256.FromReader(f); err != nil {
		return "", fmt.Errorf("read %q: %w", path, err)
	}
	s.mu.Lock()
	s.sums[path] = d
	s.mu.Unlock()
	return d, nil
}

// digests gives the digests of v's files that this build knows.
func (w *World) digests(v solve.Value) fileop.Digester {
	key := fmt.Sprint(v.Key)
	for _, l := range v.Layers {
		key += fmt.Sprintf(" %p", l)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sums == nil {
		w.sums = map[string]*stackDigests{}
	}
	s, ok := w.sums[key]
	if !ok {
		s = &stackDigests{sums: map[string]digest.Digest{}}
		w.sums[key] = s
	}
	return s
}
