package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mica-build/mica/errs"
)

// agents is a set of agent sockets by id.
type agents map[string]string

func (a agents) Agent(_ context.Context, id string) (string, error) {
	if sock, ok := a[id]; ok {
		return sock, nil
	}
	return "", fmt.Errorf("agent %s: %w", id, errs.ErrNotFound)
}

// fakeSSH puts a program ssh in front of PATH that runs the remote command here
// and notes its arguments, its known hosts and its agent in the file it gives.
func fakeSSH(t testing.TB) (note string) {
	t.Helper()
	bin := t.TempDir()
	note = filepath.Join(bin, "note")
	script := `#!/bin/sh
echo "$*" >>` + note + `
echo "agent=$SSH_AUTH_SOCK" >>` + note + `
for word; do
	case $word in UserKnownHostsFile=*) cat "${word#*=}" >>` + note + ` ;; esac
	last=$word
done
exec sh -c "$last"
`
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return note
}

func TestGitOverSSH(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	note := fakeSSH(t)
	r := newRepo(t, t.TempDir())
	r.commit(map[string]string{"a": "1"})
	for _, u := range []string{"git@example.com:" + r.dir, "ssh://git:geheim@example.com" + r.dir} {
		c := &Client{CacheDir: t.TempDir(), SSH: agents{"default": "/agent"}}
		_, dir, err := checkOut(t, c, GitRequest{URL: u, Attrs: map[string]string{"git.knownsshhosts": "example.com key\n", "git.mountsshsock": "default"}})
		if err != nil {
			t.Fatal(err)
		}
		wantTree(t, dir, "a -rw-r--r-- 1")
		raw, err := os.ReadFile(note)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"-F /dev/null", "StrictHostKeyChecking=yes", "IdentityFile=none", "BatchMode=yes", "git@example.com ", "example.com key\n", "agent=/agent\n"} {
			if !strings.Contains(string(raw), want) {
				t.Errorf("%s: ssh was not told %q but:\n%s", u, want, raw)
			}
		}
		if strings.Contains(string(raw), "geheim") {
			t.Errorf("%s: the password is among the arguments", u)
		}
		if err := os.Remove(note); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "mica-known-hosts-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left %v (%v)", left, err)
	}
}

func TestGitOverSSHWithoutAgent(t *testing.T) {
	note := fakeSSH(t)
	r := newRepo(t, t.TempDir())
	r.commit(map[string]string{"a": "1"})
	t.Setenv("SSH_AUTH_SOCK", "/mine")
	if _, _, err := checkOut(t, &Client{CacheDir: t.TempDir()}, GitRequest{URL: "git@example.com:" + r.dir}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), "IdentityAgent=none") || strings.Contains(string(raw), "/mine") {
		t.Errorf("ssh could use the user's agent:\n%s", raw)
	}
	c := &Client{CacheDir: t.TempDir(), SSH: agents{}}
	_, err = c.ResolveGit(t.Context(), GitRequest{URL: "git@example.com:x", Attrs: map[string]string{"git.mountsshsock": "other"}})
	if !errors.Is(err, errs.ErrNotFound) || !strings.Contains(err.Error(), "--ssh other") {
		t.Errorf("got %v, want ErrNotFound that says what to do", err)
	}
}

func TestGitCancelled(t *testing.T) {
	release := make(chan struct{})
	u := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := (&Client{CacheDir: t.TempDir()}).ResolveGit(ctx, GitRequest{URL: u + "/r.git"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("took %v to stop", took)
	}
}
