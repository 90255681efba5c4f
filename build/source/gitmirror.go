package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/buildkit/util/gitutil"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// A mirror is a bare repository that collects the objects fetched from one
// remote:
//
//	git/<id>        the repository; refs/mica/<object> marks what is complete
//	git/<id>.lock   exclusive while fetching, shared while reading
//	git/tmp-*       checkouts and mirrors under construction
type mirror struct {
	dir    string
	remote remote
	git    gitRunner
	now    func() time.Time
	log    *slog.Logger
}

func (c *Client) gitDir() (string, error) { return c.subdir("git") }

// mirror names the mirror for objects of the same kind as object.
func (c *Client) mirror(r remote, object string, git gitRunner) (mirror, error) {
	dir, err := c.gitDir()
	if err != nil {
		return mirror{}, err
	}
	sum := sha256.Sum256([]byte(r.url))
	id := hex.EncodeToString(sum[:16])
	if len(object) == 64 {
		id += "-sha256"
	}
	m := mirror{dir: filepath.Join(dir, id), remote: r, git: git, now: c.now, log: c.log()}
	m.git.dir = m.dir
	return m, nil
}

// damage is how git speaks of objects that should be there.
var damage = []string{
	"unable to read", "cannot read object", "failed to unpack tree", "bad object", "bad tree object",
	"missing object", "not a valid object", "corrupt", "did not send all necessary objects",
}

// use calls do while the object is in the mirror and the mirror stays. A mirror
// that turns out to be damaged, as by a loss of power, is replaced once: do may
// be called twice.
func (m mirror) use(ctx context.Context, object, ref string, do func() error) error {
	err := m.useOnce(ctx, object, ref, do)
	var ge *gitError
	if !errors.As(err, &ge) || !ge.mentions(damage...) {
		return err
	}
	m.log.Warn("git mirror is damaged, fetching again", "remote", m.remote.url, "err", err)
	if e := m.discard(ctx); e != nil {
		return errors.Join(err, e)
	}
	return m.useOnce(ctx, object, ref, do)
}

func (m mirror) useOnce(ctx context.Context, object, ref string, do func() error) error {
	l, err := m.fetch(ctx, object, ref)
	if err != nil {
		return err
	}
	defer l.release()
	return do()
}

func (m mirror) discard(ctx context.Context) error {
	moved, err := setAside(ctx, m.dir, m.now().Add(time.Hour))
	if moved != "" {
		os.RemoveAll(moved)
	}
	return err
}

// fetch makes sure that an object, a commit or a tag of one, is in the mirror
// with all that a checkout needs, and gives the mirror locked against removal.
// The ref, where known, helps with servers that give out refs only.
func (m mirror) fetch(ctx context.Context, object, ref string) (*lock, error) {
	l, err := acquire(ctx, m.dir+".lock", unix.LOCK_SH)
	if err != nil || m.has(object) {
		return l, err
	}
	err = l.turn(ctx, unix.LOCK_EX)
	if err == nil {
		err = m.fill(ctx, object, ref)
	}
	if err == nil {
		// The lock may pass through the hands of others here, but they add, and
		// take away only what was not used for long.
		err = l.turn(ctx, unix.LOCK_SH)
	}
	if err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

func (m mirror) fill(ctx context.Context, object, ref string) error {
	if m.has(object) { // fetched while this process waited
		return nil
	}
	if err := m.init(ctx, len(object) == 64); err != nil {
		return err
	}
	m.breakLocks()
	if err := m.fetchObject(ctx, object, ref); err != nil {
		return err
	}
	if _, err := m.commit(ctx, object); err != nil {
		return err
	}
	if _, err := m.git.run(ctx, "update-ref", m.mark(object), object); err != nil {
		return err
	}
	return m.tidy(ctx, maxPacks)
}

// maxPacks is how many fetches go by before their packs are joined: git looks
// into each for every object.
const maxPacks = 50

func (m mirror) tidy(ctx context.Context, limit int) error {
	packs, err := filepath.Glob(filepath.Join(m.dir, "objects", "pack", "*.pack"))
	if err != nil || len(packs) <= limit {
		return err
	}
	_, err = m.git.run(ctx, "repack", "-a", "-d", "--quiet")
	return err
}

// mark is the ref that says that object and what it needs are all there.
func (m mirror) mark(object string) string { return "refs/mica/" + object }

// has reads the mark without git: it is always a file of its own, since refs
// are never packed here. It also notes the use, which only delays pruning.
func (m mirror) has(object string) bool {
	raw, err := os.ReadFile(filepath.Join(m.dir, m.mark(object)))
	if err != nil || strings.TrimSpace(string(raw)) != object {
		return false
	}
	_ = os.Chtimes(m.dir, m.now(), m.now())
	return true
}

// init makes the repository under another name, so that it is never half there.
func (m mirror) init(ctx context.Context, sha256 bool) error {
	if _, err := os.Stat(filepath.Join(m.dir, "HEAD")); err == nil {
		return nil
	}
	tmp, err := os.MkdirTemp(filepath.Dir(m.dir), "tmp-*")
	if err != nil {
		return fmt.Errorf("create mirror: %w", err)
	}
	defer os.RemoveAll(tmp)
	git := gitRunner{program: m.git.program}
	args := []string{"init", "--quiet", "--bare"}
	if sha256 {
		args = append(args, "--object-format=sha256")
	}
	if _, err := git.run(ctx, append(args, "--", tmp)...); err != nil {
		return err
	}
	if err := os.Rename(tmp, m.dir); err != nil {
		return fmt.Errorf("create mirror: %w", err)
	}
	return nil
}

// breakLocks removes git's own lock files of a process that was killed; there
// can be no other while this one holds the mirror's lock.
func (m mirror) breakLocks() {
	for _, name := range []string{"shallow.lock", "config.lock", "packed-refs.lock"} {
		_ = os.Remove(filepath.Join(m.dir, name))
	}
	stale, _ := filepath.Glob(filepath.Join(m.dir, "refs", "mica", "*.lock"))
	for _, path := range stale {
		_ = os.Remove(path)
	}
}

// fetchObject asks for the one object without history, which nearly every
// server grants, then falls back: with history for servers of plain files, with
// all refs for servers that give out nothing else.
func (m mirror) fetchObject(ctx context.Context, object, ref string) error {
	want := []string{"--", m.remote.url, object}
	err := m.fetchArgs(ctx, append([]string{"--depth=1"}, want...))
	var ge *gitError
	if errors.As(err, &ge) && ge.mentions("shallow", "--depth") {
		err = m.fetchArgs(ctx, want)
	}
	if errors.As(err, &ge) && ge.mentions("not our ref", "unadvertised object", "couldn't find remote ref", "no such remote ref") {
		return m.fetchAll(ctx, ref)
	}
	return err
}

func (m mirror) fetchAll(ctx context.Context, ref string) error {
	args := []string{"--prune", "--force"}
	if _, err := os.Stat(filepath.Join(m.dir, "shallow")); err == nil {
		args = append(args, "--unshallow")
	}
	args = append(args, "--", m.remote.url, "refs/heads/*:refs/remotes/heads/*", "refs/tags/*:refs/remotes/tags/*")
	if strings.HasPrefix(ref, "refs/") && !strings.HasPrefix(ref, "refs/heads/") && !strings.HasPrefix(ref, "refs/tags/") {
		args = append(args, ref+":refs/remotes/other/"+strings.TrimPrefix(ref, "refs/"))
	}
	return m.fetchArgs(ctx, args)
}

func (m mirror) fetchArgs(ctx context.Context, args []string) error {
	// Packs are durable when git says so, the loose files of a small fetch are not.
	fetch := []string{"-c", "fetch.unpackLimit=1", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head"}
	_, err := m.git.run(ctx, append(fetch, args...)...)
	return err
}

// commit follows an object to its commit.
func (m mirror) commit(ctx context.Context, object string) (string, error) {
	out, err := m.git.run(ctx, "rev-parse", "--verify", "--quiet", object+"^{commit}")
	id := strings.TrimSpace(string(out))
	var ge *gitError
	if errors.As(err, &ge) || err == nil && !gitutil.IsCommitSHA(id) {
		return "", fmt.Errorf("repository has no commit %s: %w", object, errs.ErrNotFound)
	}
	return id, err
}
