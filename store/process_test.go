//go:build linux

package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// The tests here run the test binary again as processes that share a store.
const (
	processEnv = "MICA_STORE_TEST_PROCESS" // the role
	rootEnv    = "MICA_STORE_TEST_ROOT"
	roundsEnv  = "MICA_STORE_TEST_ROUNDS"
)

// TestProcess is the other processes.
func TestProcess(t *testing.T) {
	role := os.Getenv(processEnv)
	if role == "" {
		t.Skip("is run by other tests as a process of its own")
	}
	s := open(t, os.Getenv(rootEnv))
	rounds, err := strconv.Atoi(os.Getenv(roundsEnv))
	if err != nil {
		t.Fatal(err)
	}
	for i := range rounds {
		switch role {
		case "make":
			makeOne(t, s, i)
		case "prune":
			if _, err := s.Prune(t.Context(), PruneOptions{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		case "mount":
			dir, _, err := s.CacheMount(t.Context(), "id", Locked, nil)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println("ack", dir)
			time.Sleep(time.Minute)
		}
	}
}

// makeOne builds, records and tags, and says so when the store has said so. What
// a process found and holds must be there, whatever others prune meanwhile.
func makeOne(t *testing.T, s *Store, i int) {
	text := fmt.Sprintf("%d-%d", os.Getpid(), i)
	held := commit(t, s, map[string]string{"held": text})
	d, l := buildImage(t, s, text)
	key := Key(fmt.Sprintf("%dx%d", os.Getpid(), i))
	put(t, s, key, held.ID, l.ID)
	if err := s.Tag(t.Context(), fmt.Sprintf("example.com/app:%d", i%3), d); err != nil {
		t.Fatal(err)
	}
	fmt.Println("ack", d.Digest, key, held.ID, text)
	if i%4 == 0 {
		if err := s.Unpin(t.Context()); err != nil {
			t.Fatal(err)
		}
	} else {
		wantTree(t, held, map[string]string{"held": text})
	}
	draft, err := s.NewLayer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if i%2 == 0 {
		if err := draft.Discard(); err != nil {
			t.Fatal(err)
		}
	}
}

// A process is a running test binary; acks are what it said behind "ack ".
type process struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	acks []string
	log  strings.Builder
	done chan struct{}
}

func start(t *testing.T, root, role string, rounds int) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestProcess$")
	cmd.Env = append(os.Environ(), processEnv+"="+role, rootEnv+"="+root, fmt.Sprint(roundsEnv, "=", rounds))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go p.listen(out)
	t.Cleanup(func() { p.kill() })
	return p
}

func (p *process) listen(out io.Reader) {
	defer close(p.done)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		p.mu.Lock()
		if ack, ok := strings.CutPrefix(lines.Text(), "ack "); ok {
			p.acks = append(p.acks, ack)
		} else {
			p.log.WriteString(lines.Text() + "\n")
		}
		p.mu.Unlock()
	}
}

// wait waits for the end and wants it to be a good one.
func (p *process) wait(t *testing.T) {
	t.Helper()
	<-p.done
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("process: %v\n%s", err, p.log.String())
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
	_ = p.cmd.Wait()
}

// first waits for the first ack.
func (p *process) first(t *testing.T) string {
	t.Helper()
	for range 2000 {
		p.mu.Lock()
		acks := p.acks
		p.mu.Unlock()
		if len(acks) > 0 {
			return acks[0]
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("no word from the process: %s", p.log.String())
	return ""
}

// checkAcks checks that all that was said to be done is there and whole.
func checkAcks(t *testing.T, root string, acks []string) {
	t.Helper()
	s := open(t, root)
	list, err := s.Names(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	known := map[digest.Digest]bool{}
	for _, n := range list {
		known[n.Target.Digest] = true
	}
	for _, a := range acks {
		f := strings.Fields(a)
		if len(f) != 4 {
			continue // cut by the kill
		}
		d, key, text := digest.Digest(f[0]), Key(f[1]), f[3]
		if !known[d] {
			t.Errorf("image %s has neither a name nor a dangling entry", d)
		}
		if err := readImage(t, s, d, text); err != nil {
			t.Errorf("image %s: %v", d, err)
		}
		r, err := s.Record(t.Context(), key)
		if err != nil {
			t.Errorf("record: %v", err)
			continue
		}
		held, err := s.Layer(t.Context(), r.Outputs[0][0])
		if err != nil {
			t.Errorf("layer of record %s: %v", key, err)
			continue
		}
		wantTree(t, held, map[string]string{"held": text})
	}
}

// readImage reads an image of buildImage down to its file and the layer's tar.
func readImage(t *testing.T, s *Store, d digest.Digest, text string) error {
	raw, err := s.ReadBlob(t.Context(), d)
	if err != nil {
		return err
	}
	x, err := image.ParseIndex(raw)
	if err != nil {
		return err
	}
	if raw, err = s.ReadBlob(t.Context(), x.Manifests[0].Digest); err != nil {
		return err
	}
	m, err := image.ParseManifest(raw)
	if err != nil {
		return err
	}
	if _, err := s.ReadBlob(t.Context(), m.Config.Digest); err != nil {
		return err
	}
	l, err := s.LayerByDiffID(t.Context(), m.Layers[0].Digest)
	if err != nil {
		return err
	}
	wantTree(t, l, map[string]string{"file": text})
	r, err := s.Fetch(t.Context(), m.Layers[0])
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

func TestManyProcesses(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	var all []*process
	for range 3 {
		all = append(all, start(t, root, "make", 25))
	}
	all = append(all, start(t, root, "prune", 60), start(t, root, "prune", 60))
	var acks []string
	for _, p := range all {
		p.wait(t)
		acks = append(acks, p.acks...)
	}
	if len(acks) != 75 {
		t.Errorf("%d acknowledgements, want 75", len(acks))
	}
	checkAcks(t, root, acks)
}

// TestKill kills processes at random instants, again and again.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	root := filepath.Join(t.TempDir(), "store")
	var acks []string
	for round := range 12 {
		makers := []*process{start(t, root, "make", 1e6), start(t, root, "make", 1e6)}
		pruner := start(t, root, "prune", 1e6)
		makers[round%2].first(t)
		for _, p := range append(makers, pruner) {
			time.Sleep(rand.N(25 * time.Millisecond))
			p.kill()
			acks = append(acks, p.acks...)
		}
	}
	if len(acks) < 12 {
		t.Errorf("only %d acknowledgements: the test is too short", len(acks))
	}
	checkAcks(t, root, acks)
	s := open(t, root)
	prune(t, s, PruneOptions{})
	empty(t, s, "trash")
	for _, folder := range []string{"tmp", "leases"} {
		entries, err := os.ReadDir(s.path(folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			// checkAcks has a store open.
			if !strings.HasPrefix(e.Name(), fmt.Sprint(os.Getpid(), "-")) {
				t.Errorf("a killed process left %s/%s", folder, e.Name())
			}
		}
	}
	checkAcks(t, root, acks)
}

// TestKilledCacheMount checks that a cache mount is free when its user was killed.
func TestKilledCacheMount(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	p := start(t, root, "mount", 1)
	busy := p.first(t)
	s := open(t, root)
	list, err := s.CacheMounts(t.Context())
	if err != nil || len(list) != 1 || !list[0].InUse {
		t.Fatalf("cache mounts %+v, %v, want one in use", list, err)
	}
	p.kill()
	if dir, _ := cacheMount(t, s, "id", Locked); dir != busy {
		t.Errorf("got %s, want the killed user's %s", dir, busy)
	}
}

// TestUnpackOnce checks that goroutines, as processes would, wait for the one that
// unpacks.
func TestUnpackOnce(t *testing.T) {
	tar, _ := layerTar(t, someFiles)
	root := filepath.Join(t.TempDir(), "store")
	first := open(t, root)
	d, err := first.WriteBlob(t.Context(), image.MediaTypeLayer, tar)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]LayerID, 6)
	var wg sync.WaitGroup
	for i := range ids {
		s := open(t, root)
		wg.Go(func() {
			l, err := s.Unpack(t.Context(), d, d.Digest)
			if err != nil {
				t.Error(err)
			}
			ids[i] = l.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Errorf("layers %v, want one", ids)
			break
		}
	}
	if entries, err := os.ReadDir(first.path("layers")); err != nil || len(entries) != 1 {
		t.Errorf("%d layers, %v, want 1", len(entries), err)
	}
}

// layerTar gives the tar that layer.Diff makes of files, and its layer.
func layerTar(t testing.TB, files map[string]string) ([]byte, Layer) {
	t.Helper()
	s := open(t, "")
	l, err := s.Identify(t.Context(), commit(t, s, files).ID)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Fetch(t.Context(), image.Descriptor{MediaType: image.MediaTypeLayer, Digest: l.DiffID, Size: l.Size})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	tar, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return tar, l
}

func TestUnpackRefuses(t *testing.T) {
	tar, l := layerTar(t, someFiles)
	s := open(t, "")
	d, err := s.WriteBlob(t.Context(), image.MediaTypeLayer, tar)
	if err != nil {
		t.Fatal(err)
	}
	junk, err := s.WriteBlob(t.Context(), image.MediaTypeLayer, []byte(strings.Repeat("no tar ", 1000)))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		d      image.Descriptor
		diffID digest.Digest
		want   error
	}{
		{"wrong diff id", d, digest.FromString("another"), errs.ErrDigest},
		{"no tar", junk, junk.Digest, errs.ErrInvalid},
		{"absent blob", image.NewDescriptor(image.MediaTypeLayer, []byte("absent")), digest.FromString("absent"), errs.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := s.Unpack(t.Context(), tt.d, tt.diffID); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if entries, err := os.ReadDir(s.path("layers")); err != nil || len(entries) != 0 {
				t.Errorf("%d layers, %v, want none", len(entries), err)
			}
		})
	}
	if _, err := s.Unpack(t.Context(), d, l.DiffID); err != nil {
		t.Errorf("the right one afterwards: %v", err)
	}
}
