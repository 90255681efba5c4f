//go:build linux

package fileop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/solver/pb"
	fscopy "github.com/tonistiigi/fsutil/copy"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/testenv"
)

// bkCopy is the same action through the library that BuildKit copies with.
func bkCopy(src, dst string, a *pb.FileActionCopy, owner *Owner) error {
	opt := func(ci *fscopy.CopyInfo) {
		ci.IncludePatterns, ci.ExcludePatterns = a.IncludePatterns, a.ExcludePatterns
		ci.ModeStr = a.ModeStr
		if mode := int(a.Mode); a.ModeStr == "" && mode != -1 {
			ci.Mode = &mode
		}
		if a.Timestamp != -1 {
			t := time.Unix(0, a.Timestamp)
			ci.Utime = &t
		}
		ci.CopyDirContents, ci.FollowLinks = a.DirCopyContents, a.FollowSymlink
		ci.AlwaysReplaceExistingDestPaths = a.AlwaysReplaceExistingDestPaths
		if owner != nil {
			ci.Chown = func(*fscopy.User) (*fscopy.User, error) {
				return &fscopy.User{UID: owner.UID, GID: owner.GID}, nil
			}
		} else {
			ci.Chown = func(u *fscopy.User) (*fscopy.User, error) { return u, nil }
		}
	}
	names := []string{a.Src}
	if a.AllowWildcard {
		var err error
		if names, err = fscopy.ResolveWildcards(src, a.Src, a.FollowSymlink); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := fscopy.Copy(context.Background(), src, name, dst, a.Dest, opt); err != nil {
			return err
		}
	}
	return nil
}

// randomLines are lines for plant: few names, so that trees collide.
func randomLines(r *rand.Rand) []string {
	names := []string{"a", "b", "c.go", "d.txt"}
	targets := []string{"a", "b", "/a", "/b/a", "../a", "..", "/nowhere", "c.go", "/"}
	taken := map[string]bool{}
	var lines, files []string
	var grow func(dir string, depth int)
	grow = func(dir string, depth int) {
		for _, n := range names {
			p := dir + n
			switch k := r.IntN(12); {
			case k < 3 && depth < 3:
				lines = append(lines, fmt.Sprintf("%s/ %o %d:%d", p, []int{0o755, 0o700, 0o2775, 0o1777}[r.IntN(4)], r.IntN(3), r.IntN(3)))
				grow(p+"/", depth+1)
			case k < 6:
				lines = append(lines, fmt.Sprintf("%s %o %d:%d =%d", p, []int{0o644, 0o755, 0o4711, 0}[r.IntN(4)], r.IntN(3), r.IntN(3), r.IntN(100)))
				files = append(files, p)
			case k == 6:
				lines = append(lines, p+" -> "+targets[r.IntN(len(targets))])
			case k == 7 && len(files) > 0:
				lines = append(lines, p+" => "+files[r.IntN(len(files))])
			case k == 8 && r.IntN(4) == 0:
				lines = append(lines, p+[]string{" p", " c 1:3", " s"}[r.IntN(3)])
			default:
				continue
			}
			taken[p] = true
		}
	}
	grow("", 0)
	return lines
}

func randomAction(r *rand.Rand) (*pb.FileActionCopy, *Owner) {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	a := dockerCopy(
		pick("/", "/a", "/b", "/a/b", "/a/", "/c.go", "/*", "/?", "/*/a", "/b/*", "/a/*.go", "/[ab]", "/a/../b"),
		pick("/", "/a", "/a/", "/b", "/new", "/new/", "/a/b", "/b/a/", "/x/y/z", "/c.go", "/a/."),
	)
	patterns := []string{"a", "b", "*.go", "**/a", "a/**", "*/b", "**/*.txt", "!a/b", "!**/c.go", "b/a", "a/*", "**"}
	some := func(n int) (out []string) {
		for range n {
			out = append(out, patterns[r.IntN(len(patterns))])
		}
		return out
	}
	if r.IntN(3) == 0 {
		a.IncludePatterns = some(1 + r.IntN(3))
	}
	if r.IntN(3) == 0 {
		a.ExcludePatterns = some(1 + r.IntN(3))
	}
	switch r.IntN(5) {
	case 0:
		a.Mode = []int32{0o750, 0o1777, 0o6755, 0}[r.IntN(4)]
	case 1:
		a.ModeStr = pick("go-w", "+X", "u=rwX,go=rX", "a-s,+t", "o=g", "-x", "u+s", "=r")
	}
	if r.IntN(4) == 0 {
		a.Timestamp = 1600000000_000000000
	}
	if r.IntN(4) == 0 {
		a.DirCopyContents = false
	}
	if r.IntN(5) == 0 {
		a.FollowSymlink = false
	}
	if r.IntN(6) == 0 {
		a.AllowWildcard = false
	}
	if r.IntN(4) == 0 {
		a.AlwaysReplaceExistingDestPaths = true
	}
	if r.IntN(3) == 0 {
		return a, &Owner{5, 6}
	}
	return a, nil
}

// mtimes are the times of what is not a directory.
func mtimes(t testing.TB, root string) map[string]int64 {
	t.Helper()
	times := map[string]int64{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			times[strings.TrimPrefix(p, root)] = fi.ModTime().UnixNano()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return times
}

// TestCopyLikeBuildKit makes the same random copies with BuildKit's library and
// expects the same trees, and errors in the same cases.
func TestCopyLikeBuildKit(t *testing.T) {
	testenv.Root(t)
	rounds := 25
	if n, err := strconv.Atoi(os.Getenv("FILEOP_ROUNDS")); err == nil {
		rounds = n
	}
	copied := 0
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 1))
		srcLines, dstLines := randomLines(r), randomLines(r)
		for range 8 {
			a, owner := randomAction(r)
			src, mine, theirs := plant(t, srcLines...), plant(t, dstLines...), plant(t, dstLines...)
			want := bkCopy(src, theirs, a, owner)
			got := Copy(context.Background(), open(t, mine), &Source{Dir: open(t, src)}, a, owner)
			if differs := (want == nil) != (got == nil); differs && !better(got, want) {
				t.Errorf("seed %d: %v owner %v:\nmica: %v\nbuildkit: %v\nsrc %q\ndst %q", seed, a, owner, got, want, srcLines, dstLines)
			}
			if want == nil && got == nil {
				copied++
				diff := cmp.Diff(list(t, theirs), list(t, mine)) + cmp.Diff(mtimes(t, theirs), mtimes(t, mine))
				if diff != "" {
					t.Errorf("seed %d: %v owner %v (-buildkit +mica):\n%s\nsrc %q\ndst %q", seed, a, owner, diff, srcLines, dstLines)
				}
			}
			for _, d := range []string{src, mine, theirs} {
				os.RemoveAll(d)
			}
			if t.Failed() {
				return
			}
		}
	}
	if copied < rounds {
		t.Errorf("only %d copies worked", copied)
	}
}

// better tells a case where we differ on purpose: the library looks for files
// below what is a file in the destination although it takes none of them.
func better(got, want error) bool { return got == nil && errors.Is(want, unix.ENOTDIR) }
