package cli

import (
	"archive/tar"
	"context"
	"debug/elf"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/sandbox"
	"github.com/mica-build/mica/sandbox/rootless"
)

// TestMain makes the test binary be mica, also under the name of docker, where
// a script calls it.
func TestMain(m *testing.M) {
	sandbox.Init()
	mica := func() {
		if mode := os.Getenv(testModeEnv); mode != "" && os.Geteuid() == 0 && rootless.Inside() == "" {
			becomeUser(mode)
		}
		os.Exit(Main(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
	}
	testscript.Main(m, map[string]func(){"mica": mica, "docker": mica, "as-user": asUserMain})
}

// TestScript runs the scripts of testdata/script, each with a store of its own.
//
// Besides testscript's commands there is
//
//	mktar FILE DIR   writes the tar of DIR, the same on every machine: owner 0,
//	                 modes 0755 and 0644, time 1 January 2020
//	registry [USER:PASSWORD]
//	                 starts an empty registry and sets REGISTRY to its host:port
//
// and the conditions [rootless]: mica runs without privileges, [single]:
// its user has no further users, and [static]: it is linked statically.
//
// With UPDATE_SCRIPTS=1 in the environment, what cmp compares with is rewritten.
func TestScript(t *testing.T) {
	testenv.Root(t)
	runScripts(t, "")
}

// linkedStatically says whether this program runs where there are no libraries.
func linkedStatically() (bool, error) {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return false, err
	}
	defer f.Close()
	return !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }), nil
}

// killMonitors ends what a script that failed has left running: the monitors of
// containers in stores below dir, and the containers with them.
func killMonitors(dir string) {
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		raw, err := os.ReadFile(p)
		if err != nil || !strings.Contains(string(raw), monitorVerb) || !strings.Contains(string(raw), dir) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(p))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// runScripts runs the scripts as root, or (see asUser) as a user without
// privileges. The script's own commands are root's in any case.
func runScripts(t *testing.T, mode string) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("MICA_ROOT", filepath.Join(e.WorkDir, ".store"))
			e.Setenv("DOCKER_CONFIG", filepath.Join(e.WorkDir, ".docker"))
			e.Setenv("TZ", "UTC")
			e.Defer(func() { killMonitors(e.WorkDir) })
			if mode == "" {
				return nil
			}
			e.Setenv(testModeEnv, mode)
			e.Setenv("HOME", e.WorkDir)
			return giveToUser(e.WorkDir)
		},
		Condition: func(c string) (bool, error) {
			switch c {
			case "rootless":
				return mode != "", nil
			case "single":
				return mode == "single", nil
			case "static":
				return linkedStatically()
			}
			return false, fmt.Errorf("unknown condition %s", c)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"mktar": mktar, "registry": registry},
	})
}

func mktar(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mktar FILE DIR")
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	w := tar.NewWriter(f)
	dir := ts.MkAbs(args[1])
	ts.Check(filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return addToTar(w, dir, path, e)
	}))
	ts.Check(w.Close())
}

func registry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: registry [USER:PASSWORD]")
	}
	var h http.Handler = server.New(server.NewMemory(), server.Options{})
	if len(args) == 1 {
		h = guard(h, args[0])
	}
	s := httptest.NewServer(h)
	ts.Defer(s.Close)
	ts.Setenv("REGISTRY", strings.TrimPrefix(s.URL, "http://"))
}

// guard lets only the user in.
func guard(h http.Handler, userinfo string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user+":"+password != userinfo {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func addToTar(w *tar.Writer, dir, path string, e fs.DirEntry) error {
	name := strings.TrimPrefix(strings.TrimPrefix(path, dir), "/")
	h := &tar.Header{Name: name, ModTime: time.Unix(1577836800, 0), Mode: 0o644}
	if e.IsDir() {
		h.Typeflag, h.Mode, h.Name = tar.TypeDir, 0o755, "./"+name+"/"
		return w.WriteHeader(h)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, int64(len(data))
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}
