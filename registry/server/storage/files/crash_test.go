package files_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/fault"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/registry/server/storage"
	"github.com/mica-build/mica/registry/server/storage/files"
)

var (
	kills = flag.Int("kills", 90, "processes to kill")
	seed  = flag.Uint64("seed", 0, "of the random numbers; 0 is the time")
)

// What a worker is told, in its environment.
const (
	rootEnv = "MICA_REGISTRY_CRASH_ROOT"
	seedEnv = "MICA_REGISTRY_CRASH_SEED"
	killEnv = "MICA_REGISTRY_CRASH_KILL" // the fault point to die at; 0 none
	failEnv = "MICA_REGISTRY_CRASH_FAIL" // let calls fail now and then, as on a full disk
)

// TestMain makes the test binary be a worker where it is told so.
func TestMain(m *testing.M) {
	if os.Getenv(rootEnv) == "" {
		os.Exit(m.Run())
	}
	if err := work(); err != nil {
		fmt.Println("error", err)
		os.Exit(3)
	}
}

func number(name string) int {
	n, _ := strconv.Atoi(os.Getenv(name))
	return n
}

// A worker does random things to a registry, as a server of its own.
type worker struct {
	*server.Registry
	s    *storage.Storage
	rand *rand.Rand
	repo string
	tags []string
	fail bool
}

func work() error {
	n := uint64(number(seedEnv))
	w := &worker{rand: rand.New(rand.NewPCG(n, 1)), fail: os.Getenv(failEnv) != ""}
	setHook(number(killEnv), w.fail, rand.New(rand.NewPCG(n, 2)))
	var err error
	if w.s, err = files.Open(os.Getenv(rootEnv), files.Options{}); err != nil {
		if w.fail {
			return nil
		}
		return err
	}
	w.Registry = server.New(w.s, server.Options{Logger: slog.New(slog.NewTextHandler(os.Stdout, nil))})
	w.repo = fmt.Sprintf("r%d/w%d", n%3, n)
	for range 40 {
		if err := w.step(); err != nil && !w.fail {
			return err
		}
	}
	return nil
}

func setHook(kill int, fail bool, r *rand.Rand) {
	points := make(chan int, 1)
	points <- 0
	fault.Hook = func(op fault.Op, path string) error {
		n := <-points + 1
		if n == kill {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		hit := fail && r.IntN(25) == 0
		points <- n
		if op == fault.OpDone || op == fault.OpUnlink || !hit {
			return nil
		}
		return &os.PathError{Op: string(op), Path: path, Err: syscall.ENOSPC}
	}
}

// ack says that the registry has said so. It is one write: a kill does not cut it.
func ack(words ...any) { _, _ = io.WriteString(os.Stdout, "ack "+fmt.Sprintln(words...)) }

func (w *worker) do(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", image.MediaTypeManifest)
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

func (w *worker) step() error {
	switch w.rand.IntN(8) {
	case 0, 1, 2, 3, 4:
		return w.push()
	case 5:
		return w.deleteTag()
	case 6:
		w.s.Index.Pulled(w.repo, "", digest.FromString("x"), time.Now())
		return w.s.Close(context.Background())
	default:
		_, err := storage.CollectGarbage(context.Background(), w.s, storage.GCOptions{Grace: -1, Untagged: w.rand.IntN(2) == 0})
		return err
	}
}

// push pushes an image, one layer of which others push too. Garbage is collected
// without grace: what was pushed may be gone before it is needed.
func (w *worker) push() error {
	for range 200 {
		layer := fmt.Sprint("layer ", w.rand.IntN(5))
		config := fmt.Sprintf(`{"worker":%q,"n":%d}`, w.repo, w.rand.IntN(1e9))
		for _, data := range []string{layer, config} {
			if err := w.pushBlob(data); err != nil {
				return err
			}
		}
		tag := fmt.Sprint("t", w.rand.IntN(6))
		raw := manifestOf(config, layer)
		ack("maybe", w.repo, tag, digest.FromString(raw))
		switch rec := w.do("PUT", "/v2/"+w.repo+"/manifests/"+tag, raw); rec.Code {
		case 201:
			ack("tag", w.repo, tag, digest.FromString(raw))
			w.tags = append(w.tags, tag)
			return nil
		case 404:
		default:
			return fmt.Errorf("push manifest: %d %s", rec.Code, rec.Body)
		}
	}
	return nil
}

// pushBlob pushes a blob, again if what was there already was collected at that moment.
func (w *worker) pushBlob(data string) error {
	for {
		at := w.do("POST", "/v2/"+w.repo+"/blobs/uploads/", "").Header().Get("Location")
		rec := w.do("PUT", at+"?digest="+digest.FromString(data).String(), data)
		switch rec.Code {
		case 201:
			return nil
		case 503:
		default:
			return fmt.Errorf("push blob: %d %s", rec.Code, rec.Body)
		}
	}
}

func manifestOf(config, layer string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"x/y","digest":%q,"size":%d},"layers":[{"mediaType":"x/y","digest":%q,"size":%d}]}`,
		digest.FromString(config), len(config), digest.FromString(layer), len(layer))
}

func (w *worker) deleteTag() error {
	if len(w.tags) == 0 {
		return nil
	}
	tag := w.tags[w.rand.IntN(len(w.tags))]
	ack("maybe", w.repo, tag, "gone")
	switch rec := w.do("DELETE", "/v2/"+w.repo+"/manifests/"+tag, ""); rec.Code {
	case 202, 404:
		ack("tag", w.repo, tag, "gone")
		return nil
	default:
		return fmt.Errorf("delete tag: %d %s", rec.Code, rec.Body)
	}
}

// A crash is a registry and what was acknowledged.
type crash struct {
	*testing.T
	root  string
	rand  *rand.Rand
	ended map[string]int
	tags  map[string]map[string]bool // by "repository tag": what it may be; "gone" is not there
	acks  int
}

func newCrash(t *testing.T) *crash {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano()) % 1e6
	}
	t.Logf("to repeat: -seed %d -kills %d", *seed, *kills)
	c := &crash{T: t, root: filepath.Join(t.TempDir(), "registry"), rand: rand.New(rand.NewPCG(*seed, 0)), ended: map[string]int{}, tags: map[string]map[string]bool{}}
	t.Cleanup(func() { t.Log("processes:", c.ended, "acknowledged:", c.acks) })
	return c
}

// run lets some workers work until they are done or killed, and believes them.
func (c *crash) run(n int, env func() (env string, life time.Duration)) {
	c.Helper()
	type process struct {
		cmd  *exec.Cmd
		out  strings.Builder
		stop *time.Timer
	}
	var all []*process
	for range n {
		what, life := env()
		p := &process{cmd: exec.Command(os.Args[0])}
		p.cmd.Env = append(os.Environ(), rootEnv+"="+c.root, fmt.Sprint(seedEnv, "=", c.rand.IntN(1e9)), "GOMAXPROCS=2", what)
		p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
		must(c, p.cmd.Start())
		p.stop = time.AfterFunc(life, func() { _ = p.cmd.Process.Kill() })
		all = append(all, p)
	}
	for _, p := range all {
		err := p.cmd.Wait()
		p.stop.Stop()
		c.ended[p.cmd.ProcessState.String()]++
		if err != nil && p.cmd.ProcessState.Exited() {
			c.Errorf("worker: %v\n%s", err, &p.out)
		}
		for lines := bufio.NewScanner(strings.NewReader(p.out.String())); lines.Scan(); {
			c.believe(strings.Fields(lines.Text()))
		}
	}
}

func (c *crash) believe(f []string) {
	if len(f) != 5 || f[0] != "ack" {
		return
	}
	key := f[2] + " " + f[3]
	if c.tags[key] == nil {
		c.tags[key] = map[string]bool{"gone": true}
	}
	if f[1] == "tag" {
		c.tags[key] = map[string]bool{}
		c.acks++
	}
	c.tags[key][f[4]] = true
}

// verify checks that nothing dangles and everything acknowledged is there.
func (c *crash) verify() {
	c.Helper()
	s := open(c, c.root)
	problems, err := storage.Scrub(c.Context(), s, storage.ScrubOptions{})
	must(c, err)
	for _, p := range problems {
		c.Errorf("scrub: %+v", p)
	}
	for key, may := range c.tags {
		repo, tag, _ := strings.Cut(key, " ")
		is := "gone"
		if got, err := s.Index.Tag(c.Context(), repo, tag); err == nil {
			is = got.Digest.String()
		}
		if !may[is] {
			c.Errorf("%s is %s, may be %v", key, is, may)
		}
	}
	repos, err := s.Index.Repositories(c.Context(), storage.Page{})
	must(c, err)
	listed := map[string]bool{}
	for _, r := range repos {
		listed[r.Name] = true
	}
	for key, may := range c.tags {
		if repo, _, _ := strings.Cut(key, " "); !may["gone"] && !listed[repo] {
			c.Errorf("%s is not listed", repo)
		}
	}
	if c.Failed() {
		c.FailNow()
	}
}

// empty removes everything through the front door and checks that nothing is left.
func (c *crash) empty() {
	c.Helper()
	s := open(c, c.root)
	for key := range c.tags {
		repo, tag, _ := strings.Cut(key, " ")
		if err := s.Index.Update(c.Context(), repo, func(tx storage.Tx) error {
			if _, err := tx.Tag(tag); err == nil {
				tx.DeleteTag(tag)
			}
			return nil
		}); err != nil {
			c.Fatal(err)
		}
	}
	_, err := storage.CollectGarbage(c.Context(), s, storage.GCOptions{Grace: -1, Untagged: true})
	must(c, err)
	_, err = s.Blobs.Expire(c.Context(), time.Now().Add(time.Hour), false)
	must(c, err)
	must(c, filepath.WalkDir(c.root, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.HasSuffix(path, ".lock") && !strings.HasPrefix(e.Name(), "catalog.log") && e.Name() != "registry" && e.Name() != "reserve" {
			c.Errorf("after all was removed there is %s", path)
		}
		return err
	}))
	repos, err := s.Index.Repositories(c.Context(), storage.Page{})
	if err != nil || len(repos) > 0 {
		c.Errorf("repositories %v, %v", repos, err)
	}
	c.tags = map[string]map[string]bool{}
}

// TestKill kills servers that push, delete and collect garbage beside each other.
func TestKill(t *testing.T) {
	c := newCrash(t)
	for round := 0; round*3 < *kills; round++ {
		c.run(3, func() (string, time.Duration) {
			if c.rand.IntN(3) == 0 { // at any instant
				return killEnv + "=0", time.Duration(15+c.rand.IntN(120)) * time.Millisecond
			}
			return fmt.Sprint(killEnv, "=", int(math.Exp(c.rand.Float64()*math.Log(900)))), 20 * time.Second
		})
		c.verify()
		if round%10 == 9 {
			c.empty()
		}
	}
	c.empty()
	if c.acks < *kills {
		t.Errorf("only %d acknowledgements: the processes do not get to anything", c.acks)
	}
}

// TestRefused lets system calls fail now and then, as on a full disk.
func TestRefused(t *testing.T) {
	c := newCrash(t)
	for round := 0; round*9 < *kills; round++ {
		c.run(3, func() (string, time.Duration) { return failEnv + "=1", 30 * time.Second })
		c.verify()
	}
	c.empty()
}
