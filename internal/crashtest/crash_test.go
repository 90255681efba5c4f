//go:build linux

package crashtest

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/store"
)

var (
	kills = flag.Int("kills", 150, "processes to kill")
	seed  = flag.Uint64("seed", 0, "of the random numbers; 0 is the time")
)

// A bench is a store, a registry, and what was acknowledged.
type bench struct {
	t     *testing.T
	root  string // of the store
	dir   string // for contexts
	image string // in the registry
	rand  *rand.Rand
	files []*os.File // that workers inherit

	ended  map[string]int    // how, and how often
	images map[string]string // digest to text
	names  map[string]string // name to digest; "" it is gone, "?" it may be
}

func newBench(t *testing.T) *bench {
	t.Helper()
	testenv.Overlay(t)
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano()) % 1e6
	}
	t.Logf("to repeat: -seed %d -kills %d", *seed, *kills)
	dir := t.TempDir()
	b := &bench{t: t, root: filepath.Join(dir, "store"), dir: dir, rand: rand.New(rand.NewPCG(*seed, 0)), ended: map[string]int{}}
	t.Cleanup(func() { t.Log("processes:", b.ended) })
	b.forget()
	b.publish()
	return b
}

func (b *bench) forget() { b.images, b.names = map[string]string{}, map[string]string{} }

// publish starts a registry that has an image.
func (b *bench) publish() {
	b.t.Helper()
	srv := httptest.NewServer(server.New(server.NewMemory(), server.Options{}))
	b.t.Cleanup(srv.Close)
	b.image = strings.TrimPrefix(srv.URL, "http://") + "/base:1"
	e, err := engine.Open(filepath.Join(b.dir, "publisher"), engine.Options{})
	must(b.t, err)
	defer e.Close()
	var tarball bytes.Buffer
	w := tar.NewWriter(&tarball)
	must(b.t, w.WriteHeader(&tar.Header{Name: "base", Size: 1000, Mode: 0o644, Typeflag: tar.TypeReg}))
	_, err = w.Write(bytes.Repeat([]byte("b"), 1000))
	must(b.t, err)
	must(b.t, w.Close())
	_, err = e.Import(b.t.Context(), &tarball, engine.ImportOptions{Name: b.image})
	must(b.t, err)
	_, err = e.Push(b.t.Context(), b.image, engine.PushOptions{})
	must(b.t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A process is a worker that runs.
type process struct {
	cmd  *exec.Cmd
	acks [][]string
	rest string
	done chan struct{}
}

func (b *bench) start(env ...string) *process {
	b.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), rootEnv+"="+b.root, dirEnv+"="+b.dir, imageEnv+"="+b.image,
		fmt.Sprint(seedEnv, "=", b.rand.IntN(1e9)), "GOMAXPROCS=2")
	cmd.Env = append(cmd.Env, env...)
	cmd.ExtraFiles = b.files
	out, err := cmd.StdoutPipe()
	must(b.t, err)
	cmd.Stderr = cmd.Stdout
	must(b.t, cmd.Start())
	p := &process{cmd: cmd, done: make(chan struct{})}
	go p.listen(out)
	b.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return p
}

func (p *process) listen(out io.Reader) {
	defer close(p.done)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 1 && words[0] == "ack" {
			p.acks = append(p.acks, words[1:])
		} else {
			p.rest += lines.Text() + "\n"
		}
	}
}

// end waits for a process, which may have been killed, but nothing else, and
// believes its acknowledgements.
func (b *bench) end(p *process) {
	b.t.Helper()
	<-p.done
	err := p.cmd.Wait()
	b.ended[p.cmd.ProcessState.String()]++
	if err != nil && p.cmd.ProcessState.Exited() {
		b.t.Errorf("worker: %v\n%s", err, p.rest)
	}
	for _, a := range p.acks {
		switch a[0] {
		case "image":
			b.images[a[1]] = a[2]
		case "name":
			b.names[a[1]] = a[2]
		case "maybe":
			b.names[a[1]] = "?"
		case "gone":
			b.names[a[1]] = ""
		}
	}
}

// kill lets several processes work, until each is killed at a random instant, at
// a random fault point, or is done.
func (b *bench) kill(n int) {
	b.t.Helper()
	var all []*process
	var lives []time.Duration
	for range n {
		point, life := 0, time.Duration(30+b.rand.IntN(150))*time.Millisecond
		if b.rand.IntN(3) > 0 { // many die early, some late
			point, life = int(math.Exp(b.rand.Float64()*math.Log(1000))), 10*time.Second
		}
		all = append(all, b.start(fmt.Sprint(killEnv, "=", point), opsEnv+"=40"))
		lives = append(lives, life)
	}
	for i, p := range all {
		after := lives[i]
		select {
		case <-p.done:
		case <-time.After(after):
			_ = p.cmd.Process.Kill()
		}
	}
	for _, p := range all {
		b.end(p)
	}
}

func (b *bench) open() *store.Store {
	b.t.Helper()
	s, err := store.Open(b.root, store.Options{})
	must(b.t, err)
	return s
}

// verify checks the store and everything that was acknowledged.
func (b *bench) verify(quick bool) {
	b.t.Helper()
	s := b.open()
	defer s.Close()
	list, err := s.Check(b.t.Context(), store.CheckOptions{Quick: quick})
	must(b.t, err)
	for _, p := range list {
		if !p.Leftover {
			b.t.Errorf("check: %+v", p)
		}
	}
	names, err := s.Names(b.t.Context())
	must(b.t, err)
	has, targets := map[string]string{}, map[string]bool{}
	for _, n := range names {
		has[n.Ref] = n.Target.Digest.String()
		targets[n.Target.Digest.String()] = true
	}
	for name, want := range b.names {
		switch got := has[name]; {
		case want == "?":
		case want == "" && got != "":
			b.t.Errorf("name %s was removed, and is %s", name, got)
		case want != "" && got != want && !strings.HasPrefix(name, "example.com/app:"):
			b.t.Errorf("name %s is %q, was said to be %s", name, got, want)
		case want != "" && got == "": // a later build may have moved it, unheard
			b.t.Errorf("name %s, was %s, is not there", name, want)
		}
	}
	for d, text := range b.images {
		if !targets[d] {
			b.t.Errorf("image %s has neither a name nor is it kept without one", d)
		} else if !quick {
			b.read(s, d, text)
		}
	}
	if b.t.Failed() {
		b.t.FailNow()
	}
}

// read looks for the text that the image was built with.
func (b *bench) read(s *store.Store, sum, text string) {
	b.t.Helper()
	var m image.Manifest
	raw, err := s.ReadBlob(b.t.Context(), digest.Digest(sum))
	must(b.t, err)
	must(b.t, json.Unmarshal(raw, &m))
	for _, l := range m.Layers {
		r, err := s.Fetch(b.t.Context(), l)
		must(b.t, err)
		data, err := io.ReadAll(r)
		r.Close()
		must(b.t, err)
		if bytes.Contains(data, []byte(text)) {
			return
		}
	}
	b.t.Errorf("image %s does not hold %q", sum, text)
}

// collect removes everything and checks that nothing is left.
func (b *bench) collect() {
	b.t.Helper()
	ctx := context.Background()
	e, err := engine.Open(b.root, engine.Options{})
	must(b.t, err)
	defer e.Close()
	// The cache goes first: on a full disk that makes the room to remove names.
	for range 2 {
		_, _, err = e.PruneCache(ctx, engine.CachePruneOptions{All: true})
		must(b.t, err)
		_, _, err = e.Prune(ctx, engine.PruneOptions{All: true})
		must(b.t, err)
	}
	list, err := e.Store().Check(ctx, store.CheckOptions{})
	must(b.t, err)
	for _, p := range list {
		b.t.Errorf("after all was removed: %+v", p)
	}
	for _, folder := range []string{"blobs/*/*/*", "layers/*", "diffids/*/*", "records/*/*", "trash/*"} {
		if left, _ := filepath.Glob(filepath.Join(b.root, folder)); len(left) > 0 {
			b.t.Errorf("after all was removed there are %d of %s: %s", len(left), folder, left[0])
		}
	}
	b.forget()
}

// TestKill is the crash suite.
func TestKill(t *testing.T) {
	b := newBench(t)
	acked := 0
	for round := 0; round*3 < *kills; round++ {
		b.kill(3)
		b.verify(round%10 < 9)
		if round%10 == 9 {
			acked += len(b.images) + len(b.names)
			b.collect()
		}
	}
	b.verify(false)
	if acked += len(b.images) + len(b.names); acked < *kills/30 {
		t.Errorf("only %d acknowledgements: the processes do not get to anything", acked)
	}
	t.Logf("%d acknowledgements", acked)
}
