package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/registry/server/storage/internal/table"
)

// flushAfter is how long notes of pulls wait to be written together, and
// maxNotes how many.
const (
	flushAfter = time.Minute
	maxNotes   = 4096
)

// notes are pulls that are not written down yet.
type notes struct {
	flush func()

	mu    sync.Mutex
	timer *time.Timer
	repos map[string]map[pull]int64
	n     int
}

type pull struct {
	tag string
	d   digest.Digest
}

func (n *notes) add(repo string, p pull, at int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.repos == nil {
		n.repos = map[string]map[pull]int64{}
		n.timer = time.AfterFunc(flushAfter, n.flush)
	}
	if n.repos[repo] == nil {
		n.repos[repo] = map[pull]int64{}
	}
	if _, ok := n.repos[repo][p]; !ok {
		if n.n++; n.n == maxNotes {
			go n.flush()
		} else if n.n > 2*maxNotes {
			return // the disk does not take them
		}
	}
	n.repos[repo][p] = at
}

// take gives the notes and forgets them.
func (n *notes) take() map[string]map[pull]int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.timer != nil {
		n.timer.Stop()
	}
	all := n.repos
	n.repos, n.timer, n.n = nil, nil, 0
	return all
}

// Pulled notes a pull.
func (x *index) Pulled(repo, tag string, d digest.Digest, at time.Time) {
	x.notes.add(repo, pull{tag, d}, at.UnixNano())
}

// Flush writes the notes of pulls.
func (x *index) Flush(ctx context.Context) error {
	var all error
	for repo, pulls := range x.notes.take() {
		if err := x.writePulls(ctx, repo, pulls); err != nil {
			all = errors.Join(all, fmt.Errorf("note pulls from %s: %w", repo, err))
		}
	}
	return all
}

func (x *index) writePulls(ctx context.Context, name string, pulls map[pull]int64) error {
	r, err := x.repo(name)
	if err != nil {
		return err
	}
	r.update.Lock()
	defer r.update.Unlock()
	if _, err := os.Stat(r.path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	log, err := lockLog(ctx, r.path)
	if err != nil {
		return err
	}
	defer log.Release()
	var changes []table.Change
	for p, at := range pulls {
		changes = append(changes, table.Pulled(p.tag, p.d, at))
	}
	r.mu.Lock()
	err = r.at.read(log.File(), r)
	r.mu.Unlock()
	if err != nil || r.t.Empty() {
		return err
	}
	return x.commit(r, log, changes)
}
