//go:build linux

package crashtest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/build"
	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/fault"
	"github.com/mica-build/mica/sandbox"
	"github.com/mica-build/mica/snapshot/overlay"
)

// What a worker is told, in its environment.
const (
	rootEnv  = "MICA_CRASHTEST_ROOT"  // the store
	dirEnv   = "MICA_CRASHTEST_DIR"   // for contexts
	seedEnv  = "MICA_CRASHTEST_SEED"  // of what it does
	opsEnv   = "MICA_CRASHTEST_OPS"   // how much it does
	killEnv  = "MICA_CRASHTEST_KILL"  // the fault point to die at; 0 none
	failEnv  = "MICA_CRASHTEST_FAIL"  // "enospc": now and then; "erofs N": all from the Nth on
	imageEnv = "MICA_CRASHTEST_IMAGE" // what to pull
)

// TestMain makes the test binary be a worker where it is told so.
func TestMain(m *testing.M) {
	sandbox.Init()
	if os.Getenv(rootEnv) == "" {
		os.Exit(m.Run())
	}
	if err := work(context.Background()); err != nil {
		fmt.Println("error", err)
		os.Exit(3)
	}
}

// A worker does random things to a store.
type worker struct {
	e        *engine.Engine
	b        *build.Builder
	rand     *rand.Rand
	n        int
	tags     []string // its own
	tolerant bool     // errors of the disk are expected
}

// noRunner is for builds without RUN.
type noRunner struct{}

func (noRunner) Run(context.Context, *sandbox.Spec) error { return errs.ErrUnsupported }

func number(name string) int {
	n, _ := strconv.Atoi(os.Getenv(name))
	return n
}

func work(ctx context.Context) (err error) {
	seed := uint64(number(seedEnv))
	w := &worker{rand: rand.New(rand.NewPCG(seed, 1)), tolerant: os.Getenv(failEnv) != ""}
	setHook(number(killEnv), os.Getenv(failEnv), rand.New(rand.NewPCG(seed, 2)))
	w.e, err = engine.Open(os.Getenv(rootEnv), engine.Options{})
	if err != nil {
		return w.excuse(err)
	}
	defer func() {
		if cerr := w.e.Close(); err == nil {
			err = w.excuse(cerr)
		}
	}()
	w.b = build.New(w.e.Store(), build.Options{Runner: noRunner{}, Mounter: overlay.New()})
	for range number(opsEnv) {
		if err := w.excuse(w.step(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// setHook arranges for what the environment asks for.
func setHook(kill int, fail string, r *rand.Rand) {
	from, failing := 0, unix.ENOSPC
	if n, ok := strings.CutPrefix(fail, "erofs "); ok {
		from, _ = strconv.Atoi(n)
		failing = unix.EROFS
	}
	points := make(chan int, 1)
	points <- 0
	if kill == 0 && (fail == "" || fail == "disk") {
		return
	}
	fault.Hook = func(op fault.Op, path string) error {
		n := <-points + 1
		if n == kill {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		hit := fail == "enospc" && r.IntN(30) == 0 || from > 0 && n >= from
		points <- n
		// Unlinking needs no space.
		if op == fault.OpDone || !hit || failing == unix.ENOSPC && op == fault.OpUnlink {
			return nil
		}
		return &os.PathError{Op: string(op), Path: path, Err: failing}
	}
}

// excuse forgives what a full or read-only disk does.
func (w *worker) excuse(err error) error {
	if w.tolerant && (errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EROFS)) {
		return nil
	}
	return err
}

// ack says that the store has said so. It is one write: a kill does not cut it.
func ack(words ...any) { _, _ = io.WriteString(os.Stdout, "ack "+fmt.Sprintln(words...)) }

func (w *worker) step(ctx context.Context) error {
	w.n++
	switch w.rand.IntN(10) {
	case 0, 1, 2, 3:
		return w.build(ctx)
	case 4:
		return w.tag(ctx)
	case 5:
		return w.importImage(ctx)
	case 6:
		return w.pull(ctx)
	case 7:
		return w.untag(ctx)
	case 8:
		_, err := w.e.Collect(ctx)
		return err
	default:
		_, _, err := w.e.PruneCache(ctx, engine.CachePruneOptions{MaxUsedSpace: int64(w.rand.IntN(1 << 18))})
		return err
	}
}

// build builds an image that shares a step with others, and moves a name to it.
func (w *worker) build(ctx context.Context) error {
	text := fmt.Sprintf("%d-%d", os.Getpid(), w.n)
	dir, err := os.MkdirTemp(os.Getenv(dirEnv), "context-")
	if err != nil {
		return err
	}
	for name, data := range map[string]string{
		"Dockerfile": "FROM scratch\nCOPY common /\nCOPY text /dir/\nCOPY --chmod=600 common /dir/again\n",
		"common":     fmt.Sprint("common ", w.rand.IntN(4)), "text": text,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			return err
		}
	}
	tag := fmt.Sprintf("example.com/app:%d", os.Getpid())
	res, err := w.b.Build(ctx, &build.Request{Context: dir, Tags: []string{tag}, NoCache: w.rand.IntN(4) == 0})
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	ack("image", res.Digest, text)
	ack("name", tag, res.Digest)
	return nil
}

// tag gives an image that is there a name of this process's own.
func (w *worker) tag(ctx context.Context) error {
	list, err := w.e.Store().Names(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	d := list[w.rand.IntN(len(list))].Target
	if err := w.e.Store().Pin(ctx, d.Digest); err != nil {
		return err
	}
	name := fmt.Sprintf("example.com/tag:%d-%d", os.Getpid(), w.n)
	if err := w.e.Store().Tag(ctx, name, d); err != nil {
		return fmt.Errorf("tag: %w", err)
	}
	ack("name", name, d.Digest)
	w.tags = append(w.tags, name)
	return nil
}

func (w *worker) untag(ctx context.Context) error {
	if len(w.tags) == 0 {
		return nil
	}
	name := w.tags[len(w.tags)-1]
	// From here on the name may be there or not.
	ack("maybe", name)
	if err := w.e.Store().Untag(ctx, name, true); err != nil {
		return fmt.Errorf("untag: %w", err)
	}
	w.tags = w.tags[:len(w.tags)-1]
	ack("gone", name)
	return nil
}

func (w *worker) importImage(ctx context.Context) error {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	text := fmt.Sprintf("import %d-%d", os.Getpid(), w.n)
	if err := t.WriteHeader(&tar.Header{Name: "file", Size: int64(len(text)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	if _, err := io.WriteString(t, text); err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return err
	}
	name := fmt.Sprintf("example.com/import:%d-%d", os.Getpid(), w.n)
	if _, err := w.e.Import(ctx, &b, engine.ImportOptions{Name: name}); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	d, err := w.e.Store().Resolve(ctx, name)
	if err != nil {
		return err
	}
	ack("name", name, d.Digest)
	return nil
}

func (w *worker) pull(ctx context.Context) error {
	p, err := w.e.Pull(ctx, os.Getenv(imageEnv), engine.PullOptions{})
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	ack("name", p.Ref.String(), p.Target.Digest)
	return nil
}
