//go:build linux

package fileop

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/solver/pb"

	"github.com/mica-build/mica/errs"
)

func byName(name string) *pb.UserOpt {
	return &pb.UserOpt{User: &pb.UserOpt_ByName{ByName: &pb.NamedUserOpt{Name: name}}}
}

func byID(id uint32) *pb.UserOpt { return &pb.UserOpt{User: &pb.UserOpt_ByID{ByID: id}} }

func TestLookupOwner(t *testing.T) {
	root := t.TempDir()
	write := func(name, data string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("real/passwd", "root:x:0:0:root:/root:/bin/sh\n\napp:x:1000:1001:app:/:/bin/sh\napp:x:5:5::/:\n")
	write("etc/group", "root:x:0:\nstaff:x:50:app\n")
	if err := os.Symlink("/real/passwd", filepath.Join(root, "etc/passwd")); err != nil {
		t.Fatal(err)
	}
	odd := t.TempDir()
	if err := os.MkdirAll(filepath.Join(odd, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"passwd": "low:x:-1:0::/:\nhigh:x:4294967296:0::/:\nasis:x:0:4294967295::/:\n", "group": "low:x:-1:\n",
	} {
		if err := os.WriteFile(filepath.Join(odd, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	strange := open(t, odd)
	full, empty := open(t, root), open(t, t.TempDir())
	for _, c := range []struct {
		name  string
		opt   *pb.ChownOpt
		tree  *os.File
		want  *Owner
		fails string
	}{
		{name: "none", want: nil},
		{name: "empty", opt: &pb.ChownOpt{}, want: &Owner{}},
		{name: "a number is the group too", opt: &pb.ChownOpt{User: byID(7)}, want: &Owner{7, 7}},
		{name: "numbers", opt: &pb.ChownOpt{User: byID(7), Group: byID(8)}, want: &Owner{7, 8}},
		{name: "group only", opt: &pb.ChownOpt{Group: byID(8)}, want: &Owner{0, 8}},
		{name: "a name brings its group", opt: &pb.ChownOpt{User: byName("app")}, tree: full, want: &Owner{1000, 1001}},
		{name: "names", opt: &pb.ChownOpt{User: byName("app"), Group: byName("staff")}, tree: full, want: &Owner{1000, 50}},
		{name: "number and name", opt: &pb.ChownOpt{User: byID(9), Group: byName("staff")}, tree: full, want: &Owner{9, 50}},
		{name: "root where there is no file", opt: &pb.ChownOpt{User: byName("root"), Group: byName("root")}, tree: empty, want: &Owner{}},
		{name: "negative user", opt: &pb.ChownOpt{User: byName("low")}, tree: strange, fails: `owner -1:0: id -1: invalid`},
		{name: "user that is root in 32 bits", opt: &pb.ChownOpt{User: byName("high")}, tree: strange, fails: `owner 4294967296:0: id 4294967296: invalid`},
		{name: "group that means none", opt: &pb.ChownOpt{User: byName("asis")}, tree: strange, fails: `owner 0:4294967295: id 4294967295: invalid`},
		{name: "negative group", opt: &pb.ChownOpt{User: byID(1), Group: byName("low")}, tree: strange, fails: `owner 1:-1: id -1: invalid`},
		{name: "number that means none", opt: &pb.ChownOpt{User: byID(1<<32 - 1)}, tree: strange, fails: `owner 4294967295:4294967295: id 4294967295: invalid`},
		{name: "unknown user", opt: &pb.ChownOpt{User: byName("ghost")}, tree: full, fails: `user "ghost": not found in /etc/passwd`},
		{name: "unknown group", opt: &pb.ChownOpt{User: byID(1), Group: byName("ghosts")}, tree: full, fails: `group "ghosts": not found in /etc/group`},
		{name: "no file", opt: &pb.ChownOpt{User: byName("app")}, tree: empty, fails: `user "app": there is no /etc/passwd`},
		{name: "no tree", opt: &pb.ChownOpt{Group: byName("staff")}, fails: `group "staff": there is no /etc/group`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := LookupOwner(c.opt, c.tree, c.tree)
			if c.fails != "" {
				want := errs.ErrNotFound
				if c.tree == strange {
					want = errs.ErrInvalid
				}
				if err == nil || !strings.Contains(err.Error(), c.fails) || !errors.Is(err, want) {
					t.Errorf("error %v, want %q", err, c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
