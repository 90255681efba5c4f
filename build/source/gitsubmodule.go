package source

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/util/gitutil"

	"github.com/mica-build/mica/errs"
)

// maxSubmoduleDepth bounds how deep submodules nest.
const maxSubmoduleDepth = 32

// A submodule is a section of .gitmodules.
type submodule struct{ path, url, update string }

// A gitlink is an entry of a tree that stands for a commit of a submodule.
type gitlink struct{ path, commit string }

// submodules fills in the submodules of an object that was just checked out.
// A repository without .gitmodules has none, even if there are gitlinks in it.
func (k checkout) submodules(ctx context.Context, m mirror, git gitRunner, object, tree string, depth int) error {
	fi, err := os.Lstat(filepath.Join(tree, ".gitmodules"))
	if err != nil || !fi.Mode().IsRegular() {
		return nil //nolint:nilerr // no submodules
	}
	if depth == maxSubmoduleDepth {
		return fmt.Errorf("submodules nest more than %d deep: %w", maxSubmoduleDepth, errs.ErrTooLarge)
	}
	config, err := git.run(ctx, "config", "--blob", object+":.gitmodules", "--null", "--list")
	if err != nil {
		return err
	}
	staged, err := git.run(ctx, "ls-files", "--stage", "-z")
	if err != nil {
		return err
	}
	byPath := parseGitmodules(string(config))
	for _, link := range parseGitlinks(string(staged)) {
		mod, ok := byPath[link.path]
		if !ok {
			return fmt.Errorf("submodule %s: .gitmodules gives no URL: %w", link.path, errs.ErrInvalid)
		}
		if mod.update == "none" {
			continue
		}
		if err := k.submodule(ctx, m.remote, mod, link, tree, depth); err != nil {
			return fmt.Errorf("submodule %s: %w", link.path, err)
		}
	}
	return nil
}

func (k checkout) submodule(ctx context.Context, parent remote, mod submodule, link gitlink, tree string, depth int) error {
	r, err := parent.submodule(mod.url)
	if err != nil {
		return err
	}
	sub, err := subtree(tree, link.path)
	if err != nil {
		return err
	}
	spec := k.spec
	spec.remote = r
	git := k.m.git
	git.headers = append(r.headers(), git.headers...)
	m, err := k.client.mirror(r, link.commit, git)
	if err != nil {
		return err
	}
	k.spec = spec
	return m.use(ctx, link.commit, "", func() error { return k.plain(ctx, m, link.commit, sub, depth+1) })
}

// parseGitmodules reads the output of git config --null --list. The last section
// for a path wins; sections without one are left out.
func parseGitmodules(list string) map[string]submodule {
	byName := map[string]*submodule{}
	for entry := range strings.SplitSeq(list, "\x00") {
		key, value, _ := strings.Cut(entry, "\n")
		rest, ok := strings.CutPrefix(key, "submodule.")
		name, field, found := cutLast(rest, ".")
		if !ok || !found {
			continue
		}
		if byName[name] == nil {
			byName[name] = &submodule{}
		}
		switch field {
		case "path":
			byName[name].path = value
		case "url":
			byName[name].url = value
		case "update":
			byName[name].update = value
		}
	}
	byPath := map[string]submodule{}
	for _, m := range byName {
		if m.path != "" && m.url != "" {
			byPath[m.path] = *m
		}
	}
	return byPath
}

// parseGitlinks reads the gitlinks from the output of git ls-files --stage -z.
func parseGitlinks(list string) []gitlink {
	var links []gitlink
	for entry := range strings.SplitSeq(list, "\x00") {
		meta, path, ok := strings.Cut(entry, "\t")
		fields := strings.Fields(meta)
		if ok && len(fields) == 3 && fields[0] == "160000" && gitutil.IsCommitSHA(fields[1]) && filepath.IsLocal(path) {
			links = append(links, gitlink{path: path, commit: fields[1]})
		}
	}
	return links
}

// dropTraces removes from a kept .git directory what only says how and when it
// was made: the address and time of fetches.
func dropTraces(gitDir string) error {
	return filepath.WalkDir(gitDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.Type().IsRegular() && (name == "FETCH_HEAD" || name == "ORIG_HEAD") {
			return os.Remove(path)
		}
		return nil
	})
}
