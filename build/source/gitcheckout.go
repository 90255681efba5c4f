package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moby/buildkit/util/gitutil"

	"github.com/mica-build/mica/errs"
)

// CheckoutGit writes the tree that res names into dir, which should be empty.
// Files have mode 0644 or 0755, directories 0755, and all belong to this
// process's user. Submodules are there unless the request skips them. Without
// keepgitdir, or with a subdirectory, no .git is left anywhere; with it, .git
// holds the one commit, detached, with an origin free of credentials. Times are
// those of the checkout, or with mtime=commit the commit's.
//
// On an error dir holds nothing or part of the tree. A subdirectory that is
// missing or reached through anything but directories matches errs.ErrNotFound
// or errs.ErrInvalid.
func (c *Client) CheckoutGit(ctx context.Context, r GitRequest, res *GitResult, dir *os.File) error {
	s, err := c.parseGit(r)
	if err != nil {
		return fmt.Errorf("check out git source: %w", err)
	}
	if err := c.checkoutGit(ctx, s, res, dir); err != nil {
		return fmt.Errorf("check out %s at %s: %w", s.remote.url, res.Commit, err)
	}
	return nil
}

// GitObjects gives the commit of a result as git stores it, and the annotated
// tag that leads to it, nil if there is none.
func (c *Client) GitObjects(ctx context.Context, r GitRequest, res *GitResult) (commit, tag []byte, err error) {
	err = c.withMirror(ctx, r, res, func(_ gitSpec, m mirror) error {
		id, err := m.commit(ctx, res.Object)
		if err != nil {
			return err
		}
		if id != res.Object {
			if tag, err = m.git.run(ctx, "cat-file", "tag", res.Object); err != nil {
				return err
			}
		}
		commit, err = m.git.run(ctx, "cat-file", "commit", id)
		return err
	})
	return commit, tag, err
}

func (c *Client) withMirror(ctx context.Context, r GitRequest, res *GitResult, do func(gitSpec, mirror) error) error {
	s, err := c.parseGit(r)
	if err != nil {
		return fmt.Errorf("read git source: %w", err)
	}
	err = c.locked(ctx, s, res, func(m mirror) error { return do(s, m) })
	if err != nil {
		return fmt.Errorf("read %s: %w", s.remote.url, err)
	}
	return nil
}

// locked calls do with the mirror that holds the result's object.
func (c *Client) locked(ctx context.Context, s gitSpec, res *GitResult, do func(mirror) error) error {
	if !gitutil.IsCommitSHA(res.Object) {
		return fmt.Errorf("git object %q: %w", res.Object, errs.ErrInvalid)
	}
	git, cleanup, err := c.authorize(ctx, s)
	if err != nil {
		return err
	}
	defer cleanup()
	m, err := c.mirror(s.remote, res.Object, git)
	if err != nil {
		return err
	}
	return m.use(ctx, res.Object, res.Ref, func() error { return do(m) })
}

// A checkout is one tree in the making, in a directory of its own in the cache;
// it is moved to its destination when it is whole.
type checkout struct {
	client *Client
	spec   gitSpec
	res    *GitResult
	m      mirror
	tmp    string // holds the index and the tree
	tree   string
}

func (c *Client) checkoutGit(ctx context.Context, s gitSpec, res *GitResult, dir *os.File) error {
	return c.locked(ctx, s, res, func(m mirror) error {
		tmp, err := os.MkdirTemp(filepath.Dir(m.dir), "tmp-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		k := checkout{client: c, spec: s, res: res, m: m, tmp: tmp, tree: filepath.Join(tmp, "tree")}
		if err := mkdir(k.tree); err != nil {
			return err
		}
		return k.run(ctx, dir)
	})
}

func (k checkout) run(ctx context.Context, dir *os.File) error {
	var err error
	if k.spec.keepGitDir && k.spec.subdir == "." {
		err = k.withGitDir(ctx)
	} else {
		err = k.plain(ctx, k.m, k.res.Object, k.tree, 0)
	}
	if err != nil {
		return err
	}
	from, err := subtree(k.tree, k.spec.subdir)
	if err != nil {
		return err
	}
	if !k.spec.mtimeCommit {
		return moveTree(from, dir)
	}
	t, err := k.commitTime(ctx)
	if err != nil {
		return err
	}
	if err := setTimes(from, t); err != nil {
		return err
	}
	if err := moveTree(from, dir); err != nil {
		return err
	}
	return setDirTime(dir, t)
}

func (k checkout) commitTime(ctx context.Context) (time.Time, error) {
	out, err := k.m.git.run(ctx, "show", "--no-patch", "--no-show-signature", "--format=%ct", k.res.Object+"^{commit}")
	if err != nil {
		return time.Time{}, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("time of commit: %w: %w", errs.ErrInvalid, err)
	}
	return time.Unix(n, 0), nil
}

// plain fills tree with the files of an object in m, and of its submodules.
func (k checkout) plain(ctx context.Context, m mirror, object, tree string, depth int) error {
	index, err := os.CreateTemp(k.tmp, "index-*")
	if err != nil {
		return err
	}
	index.Close()
	// Git takes a missing index for an empty one, but not an empty file.
	if err := os.Remove(index.Name()); err != nil {
		return err
	}
	git := m.git
	git.tree, git.index = tree, index.Name()
	if _, err := git.run(ctx, "read-tree", "--reset", "-u", object); err != nil {
		return err
	}
	if k.spec.skipSubmodules {
		return nil
	}
	return k.submodules(ctx, m, git, object, tree, depth)
}

// withGitDir fills the tree as a clone of the one commit.
func (k checkout) withGitDir(ctx context.Context) error {
	git := k.m.git
	git.dir, git.tree = filepath.Join(k.tree, ".git"), k.tree
	init := []string{"init", "--quiet"}
	if len(k.res.Object) == 64 {
		init = append(init, "--object-format=sha256")
	}
	refspec := k.m.mark(k.res.Object)
	if strings.HasPrefix(k.res.Ref, "refs/") {
		refspec += ":" + k.res.Ref
	}
	steps := [][]string{
		init,
		{"remote", "add", "--", "origin", k.spec.remote.url},
		// As a URL, so that git copies objects instead of linking the mirror's.
		{"fetch", "--quiet", "--update-head-ok", "--depth=1", "--no-tags", "--no-write-fetch-head", "--", "file://" + k.m.dir, refspec},
		{"checkout", "--quiet", "--force", "--detach", k.res.Object},
	}
	if !k.spec.skipSubmodules {
		steps = append(steps, []string{"submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"})
	}
	// An index without stat data is the same on every machine.
	steps = append(steps, []string{"read-tree", "HEAD"})
	for _, args := range steps {
		if _, err := git.run(ctx, args...); err != nil {
			return err
		}
	}
	return dropTraces(git.dir)
}
