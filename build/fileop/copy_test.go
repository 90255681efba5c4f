//go:build linux

package fileop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/testenv"
)

// copyCase is one copy. src and dst are lines for plant.
type copyCase struct {
	name     string
	src, dst []string
	ignore   []string
	stage    bool // the source is a stage, not a context
	do       *pb.FileActionCopy
	owner    *Owner
	want     []string // all of dst afterwards, sorted
	fails    string   // part of the error
}

func (c copyCase) run(t *testing.T) {
	src, dst := plant(t, c.src...), plant(t, c.dst...)
	s := &Source{Dir: open(t, src), Exclude: c.ignore, Context: !c.stage}
	_, digestErr := Digest(context.Background(), s, c.do)
	err := Copy(context.Background(), open(t, dst), s, c.do, c.owner)
	if c.fails != "" {
		if err == nil || !strings.Contains(err.Error(), c.fails) {
			t.Fatalf("error %v, want one with %q", err, c.fails)
		}
		if strings.Contains(err.Error(), dst) || strings.Contains(err.Error(), src) {
			t.Errorf("error %v shows a path of the machine", err)
		}
		if errors.Is(err, errs.ErrNotFound) && !errors.Is(digestErr, errs.ErrNotFound) {
			t.Errorf("Copy found nothing, Digest says %v", digestErr)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if digestErr != nil {
		t.Errorf("digest: %v", digestErr)
	}
	if diff := cmp.Diff(c.want, list(t, dst)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

func runCopies(t *testing.T, cases []copyCase) {
	testenv.Root(t)
	for _, c := range cases {
		t.Run(c.name, c.run)
	}
}

// A4.2, A4.3, A4.5: where things land.
func TestCopyPlaces(t *testing.T) {
	files := []string{"a =A", "b.txt =B", "d/x =X", "d/e/y 600 =Y"}
	runCopies(t, []copyCase{
		{name: "file to a new name", src: files, do: dockerCopy("/a", "/p/q"), want: []string{"p/ 0755 0:0", "p/q 0644 0:0 =A"}},
		{name: "file into a new directory", src: files, do: dockerCopy("/a", "/p/"), want: []string{"p/ 0755 0:0", "p/a 0644 0:0 =A"}},
		{name: "file into a new directory, with a dot", src: files, do: dockerCopy("/a", "/p/."), want: []string{"p/ 0755 0:0", "p/a 0644 0:0 =A"}},
		{name: "file into a directory that is there", src: files, dst: []string{"p/ 700 5:6"}, do: dockerCopy("/a", "/p"), want: []string{"p/ 0700 5:6", "p/a 0644 0:0 =A"}},
		{name: "file over a file", src: files, dst: []string{"p 600 1:1 =old"}, do: dockerCopy("/a", "/p"), want: []string{"p 0644 0:0 =A"}},
		{name: "file into the root", src: files, do: dockerCopy("/a", "/"), want: []string{"a 0644 0:0 =A"}},
		{name: "slash after a file source", src: files, do: dockerCopy("/a/", "/p"), want: []string{"p 0644 0:0 =A"}},
		{name: "contents of a directory", src: files, do: dockerCopy("/d", "/p"), want: []string{"p/ 0755 0:0", "p/e/ 0755 0:0", "p/e/y 0600 0:0 =Y", "p/x 0644 0:0 =X"}},
		{name: "contents of the root", src: []string{"x =X"}, do: dockerCopy("/", "/"), want: []string{"x 0644 0:0 =X"}},
		{name: "a directory's own mode stays behind", src: []string{"d/ 700", "d/x"}, do: dockerCopy("/d/", "/p/"), want: []string{"p/ 0755 0:0", "p/x 0644 0:0 ="}},
		{name: "modes below are kept", src: []string{"d/e/ 2750", "d/s 4711", "d/t/ 1777"}, do: dockerCopy("/d", "/p"), want: []string{"p/ 0755 0:0", "p/e/ 2750 0:0", "p/s 4711 0:0 =", "p/t/ 1777 0:0"}},
		{name: "directories merge and take the source's mode", src: []string{"d/e/ 700", "d/e/n =N"}, dst: []string{"p/e/ 777 3:3", "p/e/o =O"}, do: dockerCopy("/d", "/p"), want: []string{"p/ 0755 0:0", "p/e/ 0700 0:0", "p/e/n 0644 0:0 =N", "p/e/o 0644 0:0 =O"}},
		{name: "dot dot does not leave", src: files, do: dockerCopy("/../../a", "/../../q"), want: []string{"q 0644 0:0 =A"}},
		{name: "directory over a file", src: files, dst: []string{"p =P"}, do: dockerCopy("/d", "/p"), fails: `copy "/d": "/p" is a file, and cannot be replaced with a directory`},
		{name: "inner directory over a file", src: files, dst: []string{"p/e =E"}, do: dockerCopy("/d", "/p"), fails: `"/p/e" is a file, and cannot be replaced with a directory`},
		{name: "inner directory over a link", src: files, dst: []string{"p/e -> /f", "f/"}, do: dockerCopy("/d", "/p"), fails: `"/p/e" is a symbolic link, and cannot be replaced with a directory`},
		{name: "inner file over a directory", src: files, dst: []string{"p/x/y"}, do: dockerCopy("/d", "/p"), fails: `"/p/x" is a directory, and cannot be replaced with a file`},
		{name: "file over a directory of its name", src: files, dst: []string{"p/a/z"}, do: dockerCopy("/a", "/p/"), fails: `"/p/a" is a directory, and cannot be replaced with a file`},
		{name: "below a file", src: files, dst: []string{"p"}, do: dockerCopy("/a", "/p/q/"), fails: "not a directory"},
		{name: "missing", src: files, do: dockerCopy("/nope", "/p"), fails: `copy: "/nope": not found`},
		{name: "missing below a file", src: files, do: dockerCopy("/a/b", "/p"), fails: `"/a/b": not found`},
		{name: "no parents allowed", src: files, do: dockerCopy("/a", "/p/q", func(a *pb.FileActionCopy) { a.CreateDestPath = false }), fails: `destination "/p/q"`},
		{name: "replace what differs", src: []string{"d/e/y =Y", "d/x =X"}, dst: []string{"p/e =E", "p/x/z/q"}, do: dockerCopy("/d", "/p", replacing), want: []string{"p/ 0755 0:0", "p/e/ 0755 0:0", "p/e/y 0644 0:0 =Y", "p/x 0644 0:0 =X"}},
	})
}

// The general form of LLB: no wildcards, directories as such.
func TestCopyPlain(t *testing.T) {
	files := []string{"d/ 750 2:3", "d/x =X", "*a =A"}
	runCopies(t, []copyCase{
		{name: "directory to a new name", stage: true, src: files, do: dockerCopy("/d", "/n", plain), want: []string{"n/ 0750 2:3", "n/x 0644 0:0 =X"}},
		{name: "directory into a directory", stage: true, src: files, dst: []string{"n/"}, do: dockerCopy("/d", "/n", plain), want: []string{"n/ 0755 0:0", "n/d/ 0750 2:3", "n/d/x 0644 0:0 =X"}},
		{name: "directory into a new directory", stage: true, src: files, do: dockerCopy("/d", "/n/", plain), want: []string{"n/ 0755 0:0", "n/d/ 0750 2:3", "n/d/x 0644 0:0 =X"}},
		{name: "dot takes the contents", stage: true, src: files, dst: []string{"n/ 700"}, do: dockerCopy("/d/.", "/n", plain), want: []string{"n/ 0700 0:0", "n/x 0644 0:0 =X"}},
		{name: "over the directory of its name", stage: true, src: files, dst: []string{"n/d/ 700 9:9"}, do: dockerCopy("/d", "/n", plain), want: []string{"n/ 0755 0:0", "n/d/ 0700 9:9", "n/d/x 0644 0:0 =X"}},
		{name: "a star is a star", src: files, do: dockerCopy("/*a", "/n", plain), want: []string{"n 0644 0:0 =A"}},
	})
}

// A4.4: links in the source and in the destination.
func TestCopyLinks(t *testing.T) {
	src := []string{"d/x =X", "d/l -> x", "abs -> /d", "file -> d/x", "out -> ../../../etc/passwd", "etc/passwd =mine", "loop -> loop", "dead -> /gone", "deep -> abs/../d"}
	runCopies(t, []copyCase{
		{name: "a named link is followed", src: src, do: dockerCopy("/file", "/p/"), want: []string{"p/ 0755 0:0", "p/file 0644 0:0 =X"}},
		{name: "to a directory too", src: src, do: dockerCopy("/abs", "/p"), want: []string{"p/ 0755 0:0", "p/l -> x 0:0", "p/x 0644 0:0 =X"}},
		{name: "on the way", src: src, do: dockerCopy("/abs/x", "/p"), want: []string{"p 0644 0:0 =X"}},
		{name: "twice", src: src, do: dockerCopy("/deep/x", "/p"), want: []string{"p 0644 0:0 =X"}},
		{name: "inside the root only", src: src, do: dockerCopy("/out", "/p"), want: []string{"p 0644 0:0 =mine"}},
		{name: "dangling", src: src, do: dockerCopy("/dead", "/p"), fails: `"/dead": not found`},
		{name: "endless", src: src, do: dockerCopy("/loop", "/p"), fails: "too many levels"},
		{name: "not followed when not asked", src: src, do: dockerCopy("/file", "/p", plain), want: []string{"p -> d/x 0:0"}},
		{name: "a wildcard match is followed, under its name", src: src, do: dockerCopy("/fil*", "/p/"), want: []string{"p/ 0755 0:0", "p/file 0644 0:0 =X"}},
		{name: "a wildcard match to nothing", src: src, do: dockerCopy("/dea*", "/p/"), fails: `"/dead": not found`},
		{name: "before a wildcard it is", src: src, do: dockerCopy("/abs/x*", "/p/"), want: []string{"p/ 0755 0:0", "p/x 0644 0:0 =X"}},
		{name: "destination link is followed", src: src, dst: []string{"real/", "p -> /real"}, do: dockerCopy("/d/x", "/p/"), want: []string{"p -> /real 0:0", "real/ 0755 0:0", "real/x 0644 0:0 =X"}},
		{name: "destination link to nothing", src: src, dst: []string{"p -> real/er"}, do: dockerCopy("/d/x", "/p/"), want: []string{"p -> real/er 0:0", "real/ 0755 0:0", "real/er/ 0755 0:0", "real/er/x 0644 0:0 =X"}},
		{name: "destination link stays inside", src: src, dst: []string{"p -> ../../../up"}, do: dockerCopy("/d/x", "/p/x"), want: []string{"p -> ../../../up 0:0", "up/ 0755 0:0", "up/x 0644 0:0 =X"}},
		{name: "destination file link is written through", src: src, dst: []string{"p -> f", "f =F"}, do: dockerCopy("/d/x", "/p"), want: []string{"f 0644 0:0 =X", "p -> f 0:0"}},
		{name: "a link inside the destination is replaced", src: src, dst: []string{"p/x -> ../f", "f =F"}, do: dockerCopy("/d/x", "/p/"), want: []string{"f 0644 0:0 =F", "p/ 0755 0:0", "p/x 0644 0:0 =X"}},
		{name: "also below", src: src, dst: []string{"p/x -> /f", "f =F"}, do: dockerCopy("/d", "/p/"), want: []string{"f 0644 0:0 =F", "p/ 0755 0:0", "p/l -> x 0:0", "p/x 0644 0:0 =X"}},
		{name: "hard links survive in a directory", src: []string{"d/a =A", "d/e/b => d/a", "c => d/a"}, do: dockerCopy("/", "/p"), want: []string{"p/ 0755 0:0", "p/c 0644 0:0 =A", "p/d/ 0755 0:0", "p/d/a => p/c", "p/d/e/ 0755 0:0", "p/d/e/b => p/c"}},
		{name: "but not between matches", src: []string{"a =A", "b => a"}, do: dockerCopy("/*", "/p/"), want: []string{"p/ 0755 0:0", "p/a 0644 0:0 =A", "p/b 0644 0:0 =A"}},
		{name: "a hard link replaces", src: []string{"d/a =A", "d/b => d/a"}, dst: []string{"p/b =old"}, do: dockerCopy("/d", "/p"), want: []string{"p/ 0755 0:0", "p/a 0644 0:0 =A", "p/b => p/a"}},
		{name: "excluded hard link", src: []string{"d/a =A", "d/b => d/a"}, do: dockerCopy("/d", "/p", excluding("a")), want: []string{"p/ 0755 0:0", "p/b 0644 0:0 =A"}},
	})
}

// A4.2, Observed 5: wildcards.
func TestCopyWildcards(t *testing.T) {
	src := []string{"a1 =1", "a2 =2", "d1/x =x1", "d2/x =x2", "d2/z/y =y", "[b] =B", "e/f/g.go =G"}
	runCopies(t, []copyCase{
		{name: "files", src: src, do: dockerCopy("/a?", "/p/"), want: []string{"p/ 0755 0:0", "p/a1 0644 0:0 =1", "p/a2 0644 0:0 =2"}},
		{name: "without slash the last wins", src: src, do: dockerCopy("/a*", "/p"), want: []string{"p 0644 0:0 =2"}},
		{name: "contents of directories merge", src: src, do: dockerCopy("/d*", "/p"), want: []string{"p/ 0755 0:0", "p/x 0644 0:0 =x2", "p/z/ 0755 0:0", "p/z/y 0644 0:0 =y"}},
		{name: "in the middle", src: src, do: dockerCopy("/d*/x", "/p/"), want: []string{"p/ 0755 0:0", "p/x 0644 0:0 =x2"}},
		{name: "class", src: src, do: dockerCopy("/[[]b]", "/p"), want: []string{"p 0644 0:0 =B"}},
		{name: "star stays in its directory", src: src, do: dockerCopy("/*.go", "/p/"), want: nil},
		{name: "several levels", src: src, do: dockerCopy("/*/f/*.go", "/p/"), want: []string{"p/ 0755 0:0", "p/g.go 0644 0:0 =G"}},
		{name: "no match is fine", src: src, do: dockerCopy("/q*", "/p/"), want: nil},
		{name: "unless it has to match", src: src, do: dockerCopy("/q*", "/p/", func(a *pb.FileActionCopy) { a.AllowEmptyWildcard = false }), fails: `"/q*": not found`},
		{name: "missing directory before a wildcard", src: src, do: dockerCopy("/no/q*", "/p/"), fails: `"/no/q*": not found`},
		{name: "malformed", src: src, do: dockerCopy("/a[", "/p/"), fails: "syntax error"},
	})
}

// A4.6, A4.7, Observed 3 and 4: owners and modes.
func TestCopyOwnerAndMode(t *testing.T) {
	src := []string{"f 640 7:8 =F", "d/ 700 7:8", "d/x 755 7:8 =X", "d/l -> x", "d/e/ 750 7:8"}
	o := &Owner{11, 12}
	runCopies(t, []copyCase{
		{name: "context is root's", src: src, do: dockerCopy("/d", "/p"), want: []string{"p/ 0755 0:0", "p/e/ 0750 0:0", "p/l -> x 0:0", "p/x 0755 0:0 =X"}},
		{name: "stage keeps owners", stage: true, src: src, do: dockerCopy("/d", "/p"), want: []string{"p/ 0755 0:0", "p/e/ 0750 7:8", "p/l -> x 0:0", "p/x 0755 7:8 =X"}},
		{name: "chown reaches all and created parents", src: src, do: dockerCopy("/d", "/q/p"), owner: o, want: []string{"q/ 0755 11:12", "q/p/ 0755 11:12", "q/p/e/ 0750 11:12", "q/p/l -> x 11:12", "q/p/x 0755 11:12 =X"}},
		{name: "chown leaves parents that are there", src: src, dst: []string{"q/ 700 1:1"}, do: dockerCopy("/f", "/q/p/"), owner: o, want: []string{"q/ 0700 1:1", "q/p/ 0755 11:12", "q/p/f 0640 11:12 =F"}},
		{name: "octal reaches created parents, without sticky", src: src, do: dockerCopy("/d", "/q/p", octal(0o1740)), want: []string{"q/ 0740 0:0", "q/p/ 0740 0:0", "q/p/e/ 1740 0:0", "q/p/l -> x 0:0", "q/p/x 1740 0:0 =X"}},
		{name: "octal setuid", src: src, do: dockerCopy("/f", "/p", octal(0o6711)), owner: o, want: []string{"p 6711 11:12 =F"}},
		{name: "octal zero", src: src, do: dockerCopy("/f", "/p", octal(0)), want: []string{"p 0000 0:0 =F"}},
		{name: "symbolic leaves parents", src: src, do: dockerCopy("/d", "/q/p", symbolic("go-rwx")), want: []string{"q/ 0755 0:0", "q/p/ 0755 0:0", "q/p/e/ 0700 0:0", "q/p/l -> x 0:0", "q/p/x 0700 0:0 =X"}},
		{name: "symbolic X", src: src, do: dockerCopy("/", "/p", symbolic("u=rwX,go=rX")), want: []string{"p/ 0755 0:0", "p/d/ 0755 0:0", "p/d/e/ 0755 0:0", "p/d/l -> x 0:0", "p/d/x 0755 0:0 =X", "p/f 0644 0:0 =F"}},
		{name: "symbolic copies classes", src: src, do: dockerCopy("/f", "/p", symbolic("g=u,+x")), want: []string{"p 0771 0:0 =F"}},
		{name: "symbolic nonsense", src: src, do: dockerCopy("/f", "/p", symbolic("q+z")), fails: `chmod "q+z"`},
		{name: "setuid survives a chown", stage: true, src: []string{"s 6755 3:3"}, do: dockerCopy("/s", "/p"), owner: o, want: []string{"p 6755 11:12 ="}},
	})
}

// Observed 6: what else a tree can hold.
func TestCopySpecial(t *testing.T) {
	src := []string{"d/p p", "d/c c 1:3", "d/b b 7:0", "d/s s"}
	want := []string{"o/ 0755 0:0", "o/b b 0644 0:0 7:0", "o/c c 0644 0:0 1:3", "o/p p 0644 0:0", "o/s 0644 0:0 ="}
	runCopies(t, []copyCase{
		{name: "context", src: src, do: dockerCopy("/d", "/o"), want: want},
		{name: "stage", stage: true, src: src, do: dockerCopy("/d", "/o"), want: want},
		{name: "socket by name", src: src, do: dockerCopy("/d/s", "/o"), want: []string{"o 0644 0:0 ="}},
		{name: "chmod reaches devices", src: src, do: dockerCopy("/d/c", "/o", octal(0o666)), want: []string{"o c 0666 0:0 1:3"}},
		{name: "no whiteouts", src: []string{"d/w c 0:0"}, do: dockerCopy("/d", "/o"), fails: "character device 0:0"},
		{name: "names", src: []string{"ü/☃ =1", "ü/\xff =2"}, do: dockerCopy("/ü", "/o"), want: []string{"o/ 0755 0:0", "o/☃ 0644 0:0 =1", "o/\xff 0644 0:0 =2"}},
	})
}

// A4.9, A4.10: --parents and --exclude.
func TestCopyPatterns(t *testing.T) {
	src := []string{"a/ 711", "a/b/ 700 4:4", "a/b/c.txt =C", "a/b/d.go =D", "a/x.txt =X", "z/c.txt =Z", "v/"}
	runCopies(t, []copyCase{
		{name: "parents of a file", stage: true, src: src, do: dockerCopy("/", "/p/", parents("a/b/c.txt", "/a/b/c.txt")), want: []string{"p/ 0755 0:0", "p/a/ 0711 0:0", "p/a/b/ 0700 4:4", "p/a/b/c.txt 0644 0:0 =C"}},
		{name: "parents with a pivot", stage: true, src: src, do: dockerCopy("/a", "/p/", parents("b/c.txt", "/a/b/c.txt")), want: []string{"p/ 0755 0:0", "p/b/ 0700 4:4", "p/b/c.txt 0644 0:0 =C"}},
		{name: "parents of a directory", src: src, do: dockerCopy("/", "/p/", parents("a/b", "/a/b")), want: []string{"p/ 0755 0:0", "p/a/ 0711 0:0", "p/a/b/ 0700 0:0", "p/a/b/c.txt 0644 0:0 =C", "p/a/b/d.go 0644 0:0 =D"}},
		{name: "parents of a wildcard", src: src, do: dockerCopy("/", "/p/", parents("*/c.txt")), want: []string{"p/ 0755 0:0", "p/z/ 0755 0:0", "p/z/c.txt 0644 0:0 =Z"}},
		{name: "any depth", src: src, do: dockerCopy("/", "/p/", parents("**/*.txt")), want: []string{"p/ 0755 0:0", "p/a/ 0711 0:0", "p/a/b/ 0700 0:0", "p/a/b/c.txt 0644 0:0 =C", "p/a/x.txt 0644 0:0 =X", "p/z/ 0755 0:0", "p/z/c.txt 0644 0:0 =Z"}},
		{name: "wildcard without match", src: src, do: dockerCopy("/", "/p/", parents("*/no")), want: []string{"p/ 0755 0:0"}},
		{name: "required and missing", src: src, do: dockerCopy("/", "/p/", parents("a/no", "/a/no")), fails: `"/a/no": not found`},
		{name: "required and ignored", src: src, ignore: []string{"a/b"}, do: dockerCopy("/", "/p/", parents("a/b/c.txt", "/a/b/c.txt")), fails: `"/a/b/c.txt": not found`},
		{name: "a parent that is there keeps its owner", src: src, dst: []string{"p/a/ 777 5:5"}, do: dockerCopy("/", "/p/", parents("a/x.txt")), want: []string{"p/ 0755 0:0", "p/a/ 0711 5:5", "p/a/x.txt 0644 0:0 =X"}},
		{name: "parents take owner and mode", src: src, do: dockerCopy("/", "/p/", parents("a/b/c.txt"), octal(0o750)), owner: &Owner{1, 2}, want: []string{"p/ 0750 1:2", "p/a/ 0750 1:2", "p/a/b/ 0750 1:2", "p/a/b/c.txt 0750 1:2 =C"}},
		{name: "exclude", src: src, do: dockerCopy("/", "/p", excluding("**/*.txt", "z")), want: []string{"p/ 0755 0:0", "p/a/ 0711 0:0", "p/a/b/ 0700 0:0", "p/a/b/d.go 0644 0:0 =D", "p/v/ 0755 0:0"}},
		{name: "exclude is below the source", src: src, do: dockerCopy("/a", "/p", excluding("b/c.txt", "a/x.txt")), want: []string{"p/ 0755 0:0", "p/b/ 0700 0:0", "p/b/d.go 0644 0:0 =D", "p/x.txt 0644 0:0 =X"}},
		{name: "exclude with an exception", src: src, do: dockerCopy("/", "/p", excluding("a", "v", "z", "!a/b/d.go")), want: []string{"p/ 0755 0:0", "p/a/ 0711 0:0", "p/a/b/ 0700 0:0", "p/a/b/d.go 0644 0:0 =D"}},
		{name: "parents and exclude", src: src, do: dockerCopy("/", "/p/", parents("a"), excluding("**/*.go")), want: []string{"p/ 0755 0:0", "p/a/ 0711 0:0", "p/a/b/ 0700 0:0", "p/a/b/c.txt 0644 0:0 =C", "p/a/x.txt 0644 0:0 =X"}},
		{name: "exclude with a wildcard source", src: src, do: dockerCopy("/a*", "/p", excluding("x.txt", "b")), want: []string{"p/ 0755 0:0"}},
		{name: "malformed", src: src, do: dockerCopy("/", "/p", excluding("a[")), fails: "exclude"},
	})
}

// A3: .dockerignore.
func TestCopyIgnored(t *testing.T) {
	src := []string{"a/b/c =C", "a/b/d =D", "a/e =E", "f.log =F", "l -> a/b/c", "g/f.log =G", "h/"}
	runCopies(t, []copyCase{
		{name: "ignored everywhere", src: src, ignore: []string{"**/*.log", "a", "h", "l"}, do: dockerCopy("/", "/p"), want: []string{"p/ 0755 0:0", "p/g/ 0755 0:0"}},
		{name: "ignored by name", src: src, ignore: []string{"*.log"}, do: dockerCopy("/f.log", "/p"), fails: `copy: "/f.log": not found: excluded by .dockerignore`},
		{name: "below an ignored directory", src: src, ignore: []string{"a"}, do: dockerCopy("/a/b/c", "/p"), fails: `"/a/b/c": not found`},
		{name: "exception", src: src, ignore: []string{"*", "!a/b"}, do: dockerCopy("/", "/p"), want: []string{"p/ 0755 0:0", "p/a/ 0755 0:0", "p/a/b/ 0755 0:0", "p/a/b/c 0644 0:0 =C", "p/a/b/d 0644 0:0 =D"}},
		{name: "exception by name", src: src, ignore: []string{"*", "!a/b/c"}, do: dockerCopy("/a", "/p"), want: []string{"p/ 0755 0:0", "p/b/ 0755 0:0", "p/b/c 0644 0:0 =C"}},
		{name: "the last line wins", src: src, ignore: []string{"!a/b/c", "a/b"}, do: dockerCopy("/a", "/p"), want: []string{"p/ 0755 0:0", "p/e 0644 0:0 =E"}},
		{name: "nothing left", src: src, ignore: []string{"a", "!a/q"}, do: dockerCopy("/a", "/p"), fails: `"/a": not found`},
		{name: "wildcard sees what is left", src: src, ignore: []string{"a", "h", "l", "!a/e"}, do: dockerCopy("/?", "/p"), want: []string{"p/ 0755 0:0", "p/e 0644 0:0 =E", "p/f.log 0644 0:0 =G"}},
		{name: "directory before a wildcard", src: src, ignore: []string{"a"}, do: dockerCopy("/a/*", "/p/"), fails: `"/a/*": not found: "/a" is excluded by .dockerignore`},
		{name: "ignored link is not followed", src: src, ignore: []string{"l"}, do: dockerCopy("/l", "/p"), fails: `"/l": not found`},
		{name: "link to an ignored file", src: src, ignore: []string{"a"}, do: dockerCopy("/l", "/p"), fails: `"/l": not found`},
		{name: "an ignored directory that a shown file needs is taken", src: src, ignore: []string{"a", "!a/e"}, do: dockerCopy("/", "/p", excluding("a/e", "g", "h", "l", "*.log")), want: []string{"p/ 0755 0:0", "p/a/ 0755 0:0"}},
		{name: "the same two levels down", src: src, ignore: []string{"*", "!a/b/c"}, do: dockerCopy("/", "/p", excluding("a/b")), want: []string{"p/ 0755 0:0", "p/a/ 0755 0:0"}},
		{name: "empty directory", src: src, ignore: []string{"**/*", "!h"}, do: dockerCopy("/", "/p"), want: []string{"p/ 0755 0:0", "p/h/ 0755 0:0"}},
		{name: "malformed", src: src, ignore: []string{"!"}, do: dockerCopy("/", "/p"), fails: "context excludes"},
	})
}

// Observed 6: a capability is kept from a stage, nothing from a context.
func TestCopyXattrs(t *testing.T) {
	testenv.Root(t)
	src := plant(t, "d/ping 755 3:3 =P")
	file := filepath.Join(src, "d/ping")
	caps := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if err := unix.Setxattr(file, capsXattr, caps, 0); err != nil {
		t.Skipf("needs a file system with capabilities: %v", err)
	}
	if err := unix.Setxattr(file, "user.note", []byte("x"), 0); err != nil {
		t.Logf("no user xattrs here: %v", err)
	}
	line := "p/ping 0755 3:3 =P caps 0100000200200000000000000000000000000000"
	for _, c := range []struct {
		name    string
		context bool
		owner   *Owner
		want    string
	}{
		{"stage", false, nil, line},
		{"stage with chown", false, &Owner{4, 4}, strings.Replace(line, "3:3", "4:4", 1)},
		{"context", true, nil, "p/ping 0755 0:0 =P"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst := t.TempDir()
			s := &Source{Dir: open(t, src), Context: c.context}
			if err := Copy(context.Background(), open(t, dst), s, dockerCopy("/d", "/p"), c.owner); err != nil {
				t.Fatal(err)
			}
			if got := list(t, dst)[1]; got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if n, err := unix.Lgetxattr(filepath.Join(dst, "p/ping"), "user.note", nil); err == nil {
				t.Errorf("user.note was kept: %d bytes", n)
			}
		})
	}
}

// Observed 2: times of files to the nanosecond, and those of directories too.
func TestCopyTimes(t *testing.T) {
	src := plant(t, "d/x", "d/e/y", "d/l -> x")
	for _, c := range []struct {
		name string
		ns   int64
		want int64
	}{
		{"own", -1, past.UnixNano()},
		{"given", 1600000000_000000001, 1600000000_000000001},
		{"zero", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst := t.TempDir()
			do := dockerCopy("/d", "/q/p", func(a *pb.FileActionCopy) { a.Timestamp = c.ns })
			if err := Copy(context.Background(), open(t, dst), &Source{Dir: open(t, src)}, do, nil); err != nil {
				t.Fatal(err)
			}
			names := []string{"q/p", "q/p/x", "q/p/e", "q/p/e/y", "q/p/l"}
			if c.ns != -1 {
				names = append(names, "q")
			}
			for _, name := range names {
				fi, err := os.Lstat(filepath.Join(dst, name))
				if err != nil {
					t.Fatal(err)
				}
				if got := fi.ModTime().UnixNano(); got != c.want {
					t.Errorf("%s: %d, want %d", name, got, c.want)
				}
			}
		})
	}
}

// Small and large files go different ways.
func TestCopySizes(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	files := map[string][]byte{}
	for _, size := range []int{0, 1, 4096, bigFile - 1, bigFile, bigFile + 1, 3*bigFile + 7, 5 << 20} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		name := fmt.Sprint(size)
		files[name] = data
		if err := os.WriteFile(filepath.Join(src, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := Copy(context.Background(), open(t, dst), &Source{Dir: open(t, src)}, dockerCopy("/", "/"), nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(dst, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("file of %s bytes differs: %v", name, err)
		}
	}
}

func TestCopyCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	src := &Source{Dir: open(t, plant(t, "a/b"))}
	if err := Copy(ctx, open(t, t.TempDir()), src, dockerCopy("/", "/"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Copy: %v", err)
	}
	if _, err := Digest(ctx, src, dockerCopy("/", "/")); !errors.Is(err, context.Canceled) {
		t.Errorf("Digest: %v", err)
	}
}
