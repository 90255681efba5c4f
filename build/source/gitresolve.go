package source

import (
	"context"
	"fmt"
	"strings"

	"github.com/moby/buildkit/util/gitutil"

	"github.com/mica-build/mica/errs"
)

// ResolveGit finds out which commit the request names now. The remote is asked
// once, or not at all where the request names an object by its whole id. An
// unqualified name means a branch before a tag; no name, the default branch. A
// ref that does not exist matches errs.ErrNotFound; one that is not what the
// request's checksum says, errs.ErrDigest.
func (c *Client) ResolveGit(ctx context.Context, r GitRequest) (*GitResult, error) {
	s, err := c.parseGit(r)
	if err != nil {
		return nil, fmt.Errorf("resolve git source: %w", err)
	}
	res, err := c.resolveGit(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", s.remote.url, err)
	}
	return res, nil
}

func (c *Client) resolveGit(ctx context.Context, s gitSpec) (*GitResult, error) {
	found, pinned, err := s.pinned()
	if err == nil && !pinned {
		found, err = c.askOnce(ctx, s)
	}
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(found.Object, s.checksum) && !strings.HasPrefix(found.Commit, s.checksum) {
		return nil, fmt.Errorf("ref %s is %s, want checksum %s: %w", s.ref, found.ids(), s.checksum, errs.ErrDigest)
	}
	id := found.Commit
	if s.keepGitDir {
		id = found.Object // the tag will be in .git too
	}
	found.Key = s.key(id, found.Ref)
	return found, nil
}

func (r *GitResult) ids() string {
	if r.Object != r.Commit {
		return r.Commit + " (tag " + r.Object + ")"
	}
	return r.Commit
}

// pinned gives the result where the request alone decides it.
func (s gitSpec) pinned() (*GitResult, bool, error) {
	if gitutil.IsCommitSHA(s.ref) {
		return &GitResult{Commit: s.ref, Object: s.ref, Ref: s.ref}, true, nil
	}
	if !s.fetchByCommit {
		return nil, false, nil
	}
	if !gitutil.IsCommitSHA(s.checksum) {
		return nil, false, fmt.Errorf("fetch by commit needs the whole id of a commit as checksum: %w", errs.ErrInvalid)
	}
	ref := s.ref
	switch {
	case ref == "":
		ref = s.checksum
	case !strings.HasPrefix(ref, "refs/"):
		ref = "refs/heads/" + ref
	}
	return &GitResult{Commit: s.checksum, Object: s.checksum, Ref: ref}, true, nil
}

// askOnce gives an answer that the caller may change.
func (c *Client) askOnce(ctx context.Context, s gitSpec) (*GitResult, error) {
	key := s.remote.url + "#" + s.ref
	if res, ok := c.refs.recall(key); ok && c.Once {
		return &res, nil
	}
	res, err := c.askRemote(ctx, s)
	if err == nil {
		c.refs.note(key, *res)
	}
	return res, err
}

func (c *Client) askRemote(ctx context.Context, s gitSpec) (*GitResult, error) {
	git, cleanup, err := c.authorize(ctx, s)
	if err != nil {
		return nil, err
	}
	defer cleanup()
	patterns := []string{s.ref, s.ref + "^{}"}
	if s.ref == "" {
		patterns = []string{"HEAD"}
	}
	out, err := git.run(ctx, append([]string{"ls-remote", "--symref", "--", s.remote.url}, patterns...)...)
	if err != nil {
		return nil, err
	}
	ad := parseAdvertisement(string(out))
	if s.ref == "" {
		return ad.head()
	}
	return ad.find(s.ref)
}

// An advertisement is what git ls-remote prints: ids by name, and the targets of
// symbolic refs. Malformed lines are left out.
type advertisement struct{ ids, links map[string]string }

func parseAdvertisement(out string) advertisement {
	ad := advertisement{ids: map[string]string{}, links: map[string]string{}}
	for line := range strings.SplitSeq(out, "\n") {
		value, name, ok := strings.Cut(line, "\t")
		if !ok {
			continue
		}
		if target, link := strings.CutPrefix(value, "ref: "); link {
			ad.links[name] = target
		} else if gitutil.IsCommitSHA(value) {
			ad.ids[name] = value
		}
	}
	return ad
}

// head is the default branch, or the bare commit where the remote is detached.
func (ad advertisement) head() (*GitResult, error) {
	id, ok := ad.ids["HEAD"]
	if !ok {
		return nil, fmt.Errorf("repository has no default branch (is it empty?): %w", errs.ErrNotFound)
	}
	ref := id
	if target, ok := ad.links["HEAD"]; ok && strings.HasPrefix(target, "refs/heads/") && checkRef(target) == nil {
		ref = target
	}
	return &GitResult{Commit: id, Object: id, Ref: ref}, nil
}

// find looks a name up in the order of BuildKit: as it stands below refs/, as
// branch, as tag. Only a tag is followed to its commit.
func (ad advertisement) find(name string) (*GitResult, error) {
	for _, prefix := range []string{"refs/", "refs/heads/", "refs/tags/"} {
		ref := prefix + strings.TrimPrefix(name, prefix)
		id, ok := ad.ids[ref]
		if !ok {
			continue
		}
		res := &GitResult{Commit: id, Object: id, Ref: ref}
		if peeled, ok := ad.ids[ref+"^{}"]; ok && strings.HasPrefix(ref, "refs/tags/") {
			res.Commit = peeled
		}
		return res, nil
	}
	hint := ""
	if len(name) >= 7 && strings.Trim(name, "0123456789abcdef") == "" {
		hint = " (a commit is named by its whole id of 40 or 64 digits)"
	}
	return nil, fmt.Errorf("repository has no ref %s%s: %w", name, hint, errs.ErrNotFound)
}
