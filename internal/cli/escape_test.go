package cli

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mica-build/mica/internal/testenv"
)

// hostSecret is in files of the host that no build may read.
const hostSecret = "TOPSECRET"

// TestEscape runs the scripts of testdata/escape: Dockerfiles, images and
// contexts that try to read or change the host, as published attacks on
// builders did. Each has an image "base" with busybox, and VICTIM names a
// directory of the host.
//
// Besides testscript's commands there is
//
//	serve DIR [VAR]  serves a directory by HTTP and sets VAR, or else URL
//	untouched        fails if VICTIM has changed, or if what is in its files
//	                 came out: in the last command's output, or in the store
func TestEscape(t *testing.T) {
	testenv.Overlay(t)
	box := testenv.Busybox(t)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "escape"),
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("MICA_ROOT", filepath.Join(e.WorkDir, ".store"))
			e.Setenv("DOCKER_CONFIG", filepath.Join(e.WorkDir, ".docker"))
			e.Setenv("BUSYBOX", box)
			v := filepath.Join(e.WorkDir, ".victim")
			e.Setenv("VICTIM", v)
			if err := makeVictim(v); err != nil {
				return err
			}
			e.Values["t"], e.Values["victim"] = t, listVictim(t, v)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"serve": serve, "untouched": untouched},
	})
}

// makeVictim has what a confused builder would read, fill or tidy away.
func makeVictim(dir string) error {
	for _, d := range []string{"etc", "run/secrets", "empty/empty", "proc", "sys", "dev"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"secret": hostSecret + "\n", "passwd": "bob:x:4321:4321:" + hostSecret + ":/:/bin/sh\n", "group": "bob:x:4321:\n",
		"etc/resolv.conf": hostSecret + "\n", "etc/hosts": "", "run/secrets/x": "", "empty/file": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// listVictim describes a tree, times included.
func listVictim(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		var text []byte
		if fi.Mode().IsRegular() {
			text, err = os.ReadFile(p)
		}
		list = append(list, fmt.Sprintf("%s %v %d:%d %v %q", strings.TrimPrefix(p, dir), fi.Mode(), st.Uid, st.Gid, fi.ModTime(), text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func untouched(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: untouched")
	}
	t := ts.Value("t").(testing.TB)
	if diff := cmp.Diff(ts.Value("victim"), listVictim(t, ts.Getenv("VICTIM"))); diff != "" {
		ts.Fatalf("the host's files (-before +after):\n%s", diff)
	}
	for _, f := range []string{"stdout", "stderr"} {
		if strings.Contains(ts.ReadFile(f), hostSecret) {
			ts.Fatalf("%s shows the secret", f)
		}
	}
	ts.Check(filepath.WalkDir(ts.Getenv("MICA_ROOT"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if data, err := os.ReadFile(p); err == nil && bytes.Contains(data, []byte(hostSecret)) {
			return fmt.Errorf("%s holds the secret", p)
		}
		return nil
	}))
}

func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: serve DIR [VAR]")
	}
	s := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs(args[0]))))
	ts.Defer(s.Close)
	ts.Setenv(append(args, "URL")[1], s.URL)
}
