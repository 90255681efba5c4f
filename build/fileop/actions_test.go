//go:build linux

package fileop

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/solver/pb"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/testenv"
)

func TestActions(t *testing.T) {
	testenv.Root(t)
	mkdir := func(a *pb.FileActionMkDir, o *Owner) func(*os.File) error {
		return func(dst *os.File) error { return Mkdir(context.Background(), dst, a, o) }
	}
	mkfile := func(a *pb.FileActionMkFile, o *Owner) func(*os.File) error {
		return func(dst *os.File) error { return Mkfile(context.Background(), dst, a, o) }
	}
	link := func(a *pb.FileActionSymlink, o *Owner) func(*os.File) error {
		return func(dst *os.File) error { return Symlink(context.Background(), dst, a, o) }
	}
	rm := func(a *pb.FileActionRm) func(*os.File) error {
		return func(dst *os.File) error { return Rm(context.Background(), dst, a) }
	}
	o := &Owner{3, 4}
	for _, c := range []struct {
		name  string
		dst   []string
		do    func(*os.File) error
		want  []string
		fails string
		is    error
	}{
		{name: "mkdir", do: mkdir(&pb.FileActionMkDir{Path: "/a", Mode: 0o1770}, o), want: []string{"a/ 0770 3:4"}},
		{name: "mkdir with parents", do: mkdir(&pb.FileActionMkDir{Path: "/a/b", Mode: 0o700, MakeParents: true}, o), want: []string{"a/ 0700 3:4", "a/b/ 0700 3:4"}},
		{name: "mkdir without parents", do: mkdir(&pb.FileActionMkDir{Path: "/a/b", Mode: 0o700}, nil), fails: "mkdir", is: os.ErrNotExist},
		{name: "mkdir of what is there", dst: []string{"a/ 711 9:9"}, do: mkdir(&pb.FileActionMkDir{Path: "/a", Mode: 0o700, MakeParents: true}, o), want: []string{"a/ 0711 9:9"}},
		{name: "mkdir over a file", dst: []string{"a"}, do: mkdir(&pb.FileActionMkDir{Path: "/a", Mode: 0o700, MakeParents: true}, o), fails: "/a: not a directory"},
		{name: "mkdir through a link", dst: []string{"l -> /x", "x/"}, do: mkdir(&pb.FileActionMkDir{Path: "/l/b", Mode: 0o755}, nil), want: []string{"l -> /x 0:0", "x/ 0755 0:0", "x/b/ 0755 0:0"}},
		{name: "mkdir does not leave", dst: []string{"l -> ../../.."}, do: mkdir(&pb.FileActionMkDir{Path: "/l/../b", Mode: 0o755, MakeParents: true}, nil), want: []string{"b/ 0755 0:0", "l -> ../../.. 0:0"}},
		{name: "mkdir of the root", do: mkdir(&pb.FileActionMkDir{Path: "/", Mode: 0o755, MakeParents: true}, o), want: nil},
		{name: "mkfile", do: mkfile(&pb.FileActionMkFile{Path: "/f", Mode: 0o4755, Data: []byte("hi")}, o), want: []string{"f 0755 3:4 =hi"}},
		{name: "mkfile again", dst: []string{"f 600 1:1 =old"}, do: mkfile(&pb.FileActionMkFile{Path: "/f", Mode: 0o644}, nil), want: []string{"f 0644 0:0 ="}},
		{name: "mkfile on a device", dst: []string{"f c 1:3"}, do: mkfile(&pb.FileActionMkFile{Path: "/f", Mode: 0o644, Data: []byte("x")}, nil), want: []string{"f 0644 0:0 =x"}},
		{name: "mkfile through a link", dst: []string{"f -> /g"}, do: mkfile(&pb.FileActionMkFile{Path: "/f", Mode: 0o644, Data: []byte("x")}, nil), want: []string{"f -> /g 0:0", "g 0644 0:0 =x"}},
		{name: "mkfile on a directory", dst: []string{"f/"}, do: mkfile(&pb.FileActionMkFile{Path: "/f"}, nil), fails: "/f: is a directory"},
		{name: "mkfile on the root", do: mkfile(&pb.FileActionMkFile{Path: "/"}, nil), fails: "is a directory"},
		{name: "mkfile without parent", do: mkfile(&pb.FileActionMkFile{Path: "/a/b/f"}, nil), fails: `"/a/b": not found`, is: errs.ErrNotFound},
		{name: "symlink", do: link(&pb.FileActionSymlink{Oldpath: "/anything/../x", Newpath: "/l"}, o), want: []string{"l -> /anything/../x 3:4"}},
		{name: "symlink on something", dst: []string{"l"}, do: link(&pb.FileActionSymlink{Oldpath: "x", Newpath: "/l"}, nil), fails: "/l: file exists"},
		{name: "rm", dst: []string{"a/b/c", "a/d"}, do: rm(&pb.FileActionRm{Path: "/a/b"}), want: []string{"a/ 0755 0:0", "a/d 0644 0:0 ="}},
		{name: "rm of a link", dst: []string{"l -> x", "x"}, do: rm(&pb.FileActionRm{Path: "/l"}), want: []string{"x 0644 0:0 ="}},
		{name: "rm of a link to nothing", dst: []string{"l -> /nowhere"}, do: rm(&pb.FileActionRm{Path: "/l"}), want: nil},
		{name: "rm through a link", dst: []string{"l -> /d", "d/x", "d/y"}, do: rm(&pb.FileActionRm{Path: "/l/x"}), want: []string{"d/ 0755 0:0", "d/y 0644 0:0 =", "l -> /d 0:0"}},
		{name: "rm of nothing", do: rm(&pb.FileActionRm{Path: "/a/b"}), fails: `rm: "/a/b": not found`, is: errs.ErrNotFound},
		{name: "rm below a file", dst: []string{"a"}, do: rm(&pb.FileActionRm{Path: "/a/b", AllowNotFound: true}), want: []string{"a 0644 0:0 ="}},
		{name: "rm of nothing, allowed", do: rm(&pb.FileActionRm{Path: "/a/b", AllowNotFound: true}), want: nil},
		{name: "rm by wildcard", dst: []string{"a1", "a2/x", "b"}, do: rm(&pb.FileActionRm{Path: "/a*", AllowWildcard: true}), want: []string{"b 0644 0:0 ="}},
		{name: "rm by wildcard without match", dst: []string{"b"}, do: rm(&pb.FileActionRm{Path: "/a*", AllowWildcard: true}), want: []string{"b 0644 0:0 ="}},
		{name: "rm by a name with a star", dst: []string{"a*", "ab"}, do: rm(&pb.FileActionRm{Path: "/a*"}), want: []string{"ab 0644 0:0 ="}},
		{name: "rm of the root", dst: []string{"a"}, do: rm(&pb.FileActionRm{Path: "/../.."}), fails: "root", is: errs.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst := plant(t, c.dst...)
			err := c.do(open(t, dst))
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), dst) {
					t.Fatalf("error %v, want one with %q", err, c.fails)
				}
				if c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("error %v is not %v", err, c.is)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, list(t, dst)); diff != "" {
				t.Errorf("tree (-want +got):\n%s", diff)
			}
		})
	}
}

func TestActionTimes(t *testing.T) {
	dst := t.TempDir()
	f := open(t, dst)
	const ns = 1600000000_000000007
	ctx := context.Background()
	for _, err := range []error{
		Mkdir(ctx, f, &pb.FileActionMkDir{Path: "/a/b", Mode: 0o755, MakeParents: true, Timestamp: ns}, nil),
		Mkfile(ctx, f, &pb.FileActionMkFile{Path: "/f", Mode: 0o644, Timestamp: ns}, nil),
		Symlink(ctx, f, &pb.FileActionSymlink{Newpath: "/l", Oldpath: "x", Timestamp: ns}, nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "a/b", "f", "l"} {
		fi, err := os.Lstat(filepath.Join(dst, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.ModTime().UnixNano(); got != ns {
			t.Errorf("%s: %d", name, got)
		}
	}
}
