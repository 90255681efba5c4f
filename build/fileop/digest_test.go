//go:build linux

package fileop

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/testenv"
)

func digestOf(t testing.TB, root string, a *pb.FileActionCopy, stage bool, ignore ...string) digest.Digest {
	t.Helper()
	d, err := Digest(context.Background(), &Source{Dir: open(t, root), Context: !stage, Exclude: ignore}, a)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What changes a key, and what does not.
func TestDigestChanges(t *testing.T) {
	testenv.Root(t)
	base := []string{"d/a 644 =A", "d/e/b 644 =B", "d/l -> a", "z =Z"}
	with := func(lines ...string) []string { return append(slices.Clone(base), lines...) }
	without := func(n int, lines ...string) []string {
		return append(slices.Delete(slices.Clone(base), n, n+1), lines...)
	}
	all := dockerCopy("/d", "/")
	for _, c := range []struct {
		name   string
		other  []string
		do     *pb.FileActionCopy
		to     *pb.FileActionCopy // for other; do when nil
		stage  bool
		ignore []string
		same   bool
	}{
		{name: "nothing", other: base, do: all, same: true},
		{name: "content", other: without(0, "d/a 644 =C"), do: all},
		{name: "mode", other: without(0, "d/a 755 =A"), do: all},
		{name: "directory mode", other: with("d/e/ 700"), do: all},
		{name: "name", other: without(0, "d/A 644 =A"), do: all},
		{name: "place", other: without(0, "d/e/a 644 =A"), do: all},
		{name: "type", other: without(2, "d/l =a"), do: all},
		{name: "link target", other: without(2, "d/l -> b"), do: all},
		{name: "hard link", other: without(1, "d/e/b 644 =A", "d/c => d/a"), do: all},
		{name: "empty directory", other: with("d/f/"), do: all},
		{name: "outside", other: with("y"), do: all, same: true},
		{name: "the directory's own mode", other: with("d/ 700"), do: all, same: true},
		{name: "the directory's own name", other: []string{"q/a 644 =A", "q/e/b 644 =B", "q/l -> a"}, do: all, to: dockerCopy("/q", "/"), same: true},
		{name: "its name when it counts", other: []string{"q/a 644 =A", "q/e/b 644 =B", "q/l -> a"}, do: dockerCopy("/d", "/", plain), to: dockerCopy("/q", "/", plain)},
		{name: "its mode when it counts", other: with("d/ 700"), do: dockerCopy("/d", "/", plain)},
		{name: "owner in a context", other: without(0, "d/a 644 5:5 =A"), do: all, same: true},
		{name: "owner in a stage", other: without(0, "d/a 644 5:5 =A"), do: all, stage: true},
		{name: "group in a stage", other: without(0, "d/a 644 0:5 =A"), do: all, stage: true},
		{name: "excluded", other: without(0, "d/a 644 =C"), do: dockerCopy("/d", "/", excluding("a")), same: true},
		{name: "ignored", other: without(0, "d/a 644 =C"), do: all, ignore: []string{"**/a"}, same: true},
		{name: "included", other: without(0, "d/a 644 =C"), do: dockerCopy("/", "/", parents("d/e")), same: true},
		{name: "on the way", other: with("d/ 700"), do: dockerCopy("/", "/", parents("d/e"))},
		{name: "taken or on the way", other: base, do: dockerCopy("/", "/", parents("d/e/b")), to: dockerCopy("/", "/", func(a *pb.FileActionCopy) {
			a.IncludePatterns, a.ExcludePatterns = []string{"d"}, []string{"d/a", "d/l"}
		})},
		{name: "a file's name", other: with("y =Z"), do: dockerCopy("/z", "/"), to: dockerCopy("/y", "/")},
		{name: "a file by a link of another name", other: with("y -> z"), do: dockerCopy("/z", "/"), to: dockerCopy("/y", "/")},
		{name: "through a linked directory", other: with("q -> d"), do: dockerCopy("/d/a", "/"), to: dockerCopy("/q/a", "/"), same: true},
		{name: "a match more", other: with("zz =Z"), do: dockerCopy("/z*", "/")},
		{name: "device number", other: with("d/n c 1:3"), do: all},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := c.to
			if to == nil {
				to = c.do
			}
			one := digestOf(t, plant(t, base...), c.do, c.stage, c.ignore...)
			two := digestOf(t, plant(t, c.other...), to, c.stage, c.ignore...)
			if (one == two) != c.same {
				t.Errorf("%s and %s", one, two)
			}
		})
	}
}

// Matches are copied one by one, so a hard link between them is no link.
func TestDigestMatchesAreNotLinked(t *testing.T) {
	linked := digestOf(t, plant(t, "a =A", "b => a"), dockerCopy("/?", "/"), false)
	if apart := digestOf(t, plant(t, "a =A", "b =A"), dockerCopy("/?", "/"), false); apart != linked {
		t.Errorf("%s linked, %s apart", linked, apart)
	}
}

func TestDigestIgnoresTimes(t *testing.T) {
	root := plant(t, "d/a =A")
	before := digestOf(t, root, dockerCopy("/", "/"), false)
	for _, name := range []string{"d", "d/a"} {
		if err := os.Chtimes(filepath.Join(root, name), time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if after := digestOf(t, root, dockerCopy("/", "/"), false); after != before {
		t.Errorf("%s, then %s", before, after)
	}
}

// Two sockets, fifos and devices differ by their kind and number.
func TestDigestSpecial(t *testing.T) {
	testenv.Root(t)
	seen := map[digest.Digest]string{}
	for _, line := range []string{"x p", "x c 1:3", "x c 1:5", "x b 1:3", "x 644 =", "x/ 644", "x -> y"} {
		d := digestOf(t, plant(t, line), dockerCopy("/", "/"), false)
		if before, ok := seen[d]; ok {
			t.Errorf("%q and %q have one key", before, line)
		}
		seen[d] = line
	}
	if s := digestOf(t, plant(t, "x s"), dockerCopy("/", "/"), false); seen[s] != "x 644 =" {
		t.Errorf("a socket has the key of %q", seen[s])
	}
}

// Copied trees are equal, times aside, exactly when the keys are.
func TestDigestIsTheCopy(t *testing.T) {
	testenv.Root(t)
	keys, trees := map[digest.Digest]string{}, map[string]digest.Digest{}
	pairs := 0
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 2))
		lines := randomLines(r)
		if len(lines) > 6 {
			lines = lines[:6] // few, so that some come out equal
		}
		a := dockerCopy("/", "/new", excluding("d.txt", "**/b"))
		src := plant(t, lines...)
		s := &Source{Dir: open(t, src), Exclude: []string{"c.go", "**/c.go/a"}}
		key, err := Digest(context.Background(), s, a)
		if err != nil {
			t.Fatal(err)
		}
		dst := t.TempDir()
		if err := Copy(context.Background(), open(t, dst), s, a, nil); err != nil {
			t.Fatal(err)
		}
		tree := strings.Join(list(t, dst), "\n")
		if before, ok := keys[key]; ok {
			pairs++
			if before != tree {
				t.Fatalf("one key for\n%s\n\nand\n%s", before, tree)
			}
		}
		if before, ok := trees[tree]; ok && before != key {
			t.Fatalf("keys %s and %s for\n%s", before, key, tree)
		}
		keys[key], trees[tree] = tree, key
	}
	if pairs == 0 {
		t.Error("no two trees were equal: the test says nothing")
	}
}

func TestDigestPath(t *testing.T) {
	testenv.Root(t)
	root := plant(t, "d/ 700", "d/a =A", "q/ 700", "q/a =A", "w/ 755", "w/a =A", "l -> d", "f =F", "g =F", "h 600 =F", "ig/x", "m -> ig")
	src := &Source{Dir: open(t, root), Context: true, Exclude: []string{"ig"}}
	key := func(path string) digest.Digest {
		t.Helper()
		d, err := DigestPath(context.Background(), src, path)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, c := range []struct {
		one, two string
		same     bool
	}{
		{"/d", "q/", true},
		{"/d", "/l", true},
		{"/d", "/w", false},
		{"/d", "/d/a", false},
		{"/f", "/g", true},
		{"/f", "/h", false},
		{"/", ".", true},
	} {
		if same := key(c.one) == key(c.two); same != c.same {
			t.Errorf("%s and %s: same is %v", c.one, c.two, same)
		}
	}
	for _, path := range []string{"/nope", "/ig", "/ig/x", "/m", "/f/x"} {
		if _, err := DigestPath(context.Background(), src, path); !errors.Is(err, errs.ErrNotFound) || !strings.Contains(err.Error(), `"`+path+`": not found`) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// asked counts what a Digester is asked, and never remembers.
type asked struct {
	mu sync.Mutex
	m  map[string]int64
}

func (a *asked) FileDigest(path string, st *unix.Stat_t, open func() (*os.File, error)) (digest.Digest, error) {
	a.mu.Lock()
	a.m[path] = st.Size
	a.mu.Unlock()
	f, err := open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	return digest.SHA256.FromReader(f)
}

func TestDigesterIsAsked(t *testing.T) {
	root := plant(t, "d/a =AAA", "d/e/b =B", "d/l -> a", "x")
	a := &asked{m: map[string]int64{}}
	src := &Source{Dir: open(t, root), Context: true, Digests: a}
	if _, err := Digest(context.Background(), src, dockerCopy("/d/e", "/")); err != nil {
		t.Fatal(err)
	}
	if len(a.m) != 1 || a.m["d/e/b"] != 1 {
		t.Errorf("asked for %v", a.m)
	}
	with, err := Digest(context.Background(), src, dockerCopy("/d", "/"))
	if err != nil {
		t.Fatal(err)
	}
	src.Digests = nil
	if alone, err := Digest(context.Background(), src, dockerCopy("/d", "/")); err != nil || alone != with {
		t.Errorf("%s with, %s without, %v", with, alone, err)
	}
}
