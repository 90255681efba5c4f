package source

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/errs"
)

// commitTime is the time of every commit in these tests.
var commitTime = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)

// A testRepo is a repository with a work tree, made with git itself.
type testRepo struct {
	testing.TB
	dir string
}

func newRepo(t testing.TB, dir string, initArgs ...string) *testRepo {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git: apt-get install git")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r := &testRepo{TB: t, dir: dir}
	r.git(append([]string{"init", "-q", "-b", "main"}, initArgs...)...)
	return r
}

func (r *testRepo) git(args ...string) string {
	r.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	date := fmt.Sprintf("%d +0000", commitTime.Unix())
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
		"GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date, "GIT_ALLOW_PROTOCOL=file:http")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes files and commits everything; it gives the commit's id.
func (r *testRepo) commit(files map[string]string) string {
	r.Helper()
	for name, content := range files {
		path := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			r.Fatal(err)
		}
	}
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "c")
	return r.git("rev-parse", "HEAD")
}

// serveGit serves the repositories below root with git http-backend. The hook,
// where given, sees every request first and may answer it.
func serveGit(t testing.TB, root string, hook func(http.ResponseWriter, *http.Request) bool) string {
	t.Helper()
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Skip("needs git: apt-get install git")
	}
	backend := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		t.Skipf("needs git http-backend: %v", err)
	}
	h := &cgi.Handler{Path: backend, Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"}, Stderr: new(bytes.Buffer)}
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hook != nil && hook(w, r) {
			return
		}
		one := *h
		if v := r.Header.Get("Git-Protocol"); v != "" {
			one.Env = append(one.Env[:len(one.Env):len(one.Env)], "GIT_PROTOCOL="+v)
		}
		one.ServeHTTP(w, r)
	}))
}

func localClient(t testing.TB) *Client {
	return &Client{CacheDir: t.TempDir(), AllowLocal: true}
}

// checkOut resolves and checks out, and gives the directory.
func checkOut(t testing.TB, c *Client, r GitRequest) (*GitResult, string, error) {
	t.Helper()
	res, err := c.ResolveGit(t.Context(), r)
	if err != nil {
		return nil, "", err
	}
	dir := t.TempDir()
	err = c.CheckoutGit(t.Context(), r, res, openDir(t, dir))
	left, globErr := filepath.Glob(filepath.Join(c.CacheDir, "git", "tmp-*"))
	if globErr != nil || len(left) > 0 {
		t.Errorf("left behind in the cache: %v (%v)", left, globErr)
	}
	return res, dir, err
}

// list describes the tree at dir: "path mode content" lines, without .git.
func list(t testing.TB, dir string) []string {
	t.Helper()
	var got []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if rel == "." {
			return nil
		}
		if rel == ".git" {
			return fs.SkipDir
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		content := ""
		switch fi.Mode().Type() {
		case 0:
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = " " + string(raw)
		case fs.ModeSymlink:
			if content, err = os.Readlink(path); err != nil {
				return err
			}
			content = " -> " + content
		}
		got = append(got, fmt.Sprintf("%s %v%s", rel, fi.Mode(), content))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func wantTree(t testing.TB, dir string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, list(t, dir)); diff != "" {
		t.Errorf("tree differs (-want +got):\n%s", diff)
	}
}

func TestResolveGit(t *testing.T) {
	r := newRepo(t, t.TempDir())
	first := r.commit(map[string]string{"a": "1"})
	r.git("tag", "light")
	r.git("tag", "-a", "-m", "t", "heavy")
	heavy := r.git("rev-parse", "heavy")
	r.git("branch", "topic/x")
	r.git("tag", "both")
	second := r.commit(map[string]string{"a": "2"})
	r.git("branch", "both")
	r.git("update-ref", "refs/pull/1/head", first)

	tests := []struct {
		name, frag string
		attrs      map[string]string
		want       GitResult
	}{
		{name: "default branch", want: GitResult{second, second, "refs/heads/main", "git " + second}},
		{name: "branch", frag: "#topic/x", want: GitResult{first, first, "refs/heads/topic/x", "git " + first}},
		{name: "whole branch name", frag: "#refs/heads/topic/x", want: GitResult{first, first, "refs/heads/topic/x", "git " + first}},
		{name: "tag", frag: "#light", want: GitResult{first, first, "refs/tags/light", "git " + first}},
		{name: "annotated tag", frag: "#heavy", want: GitResult{first, heavy, "refs/tags/heavy", "git " + first}},
		{name: "annotated tag kept", frag: "#refs/tags/heavy", attrs: map[string]string{"git.keepgitdir": "true"}, want: GitResult{first, heavy, "refs/tags/heavy", "git " + heavy + ".git#refs/tags/heavy"}},
		{name: "branch before tag", frag: "#both", want: GitResult{second, second, "refs/heads/both", "git " + second}},
		{name: "other ref", frag: "#pull/1/head", want: GitResult{first, first, "refs/pull/1/head", "git " + first}},
		{name: "commit", frag: "#" + first, want: GitResult{first, first, first, "git " + first}},
		{name: "commit that nobody has", frag: "#" + strings.Repeat("1", 40), want: GitResult{strings.Repeat("1", 40), strings.Repeat("1", 40), strings.Repeat("1", 40), "git " + strings.Repeat("1", 40)}},
		{name: "subdir", frag: "#:/x//y/../z/", want: GitResult{second, second, "refs/heads/main", "git " + second + ":x/z"}},
		{name: "climbing subdir", frag: "#:../../z", want: GitResult{second, second, "refs/heads/main", "git " + second + ":z"}},
		{name: "options", attrs: map[string]string{"git.skipsubmodules": "true", "git.mtime": "commit"}, want: GitResult{second, second, "refs/heads/main", "git " + second + "(skip-submodules)(mtime=commit)"}},
		{name: "checksum", frag: "#light", attrs: map[string]string{"git.checksum": strings.ToUpper(first[:8])}, want: GitResult{first, first, "refs/tags/light", "git " + first}},
		{name: "checksum of the tag", frag: "#heavy", attrs: map[string]string{"git.checksum": heavy}, want: GitResult{first, heavy, "refs/tags/heavy", "git " + first}},
		{name: "checksum of the tagged", frag: "#heavy", attrs: map[string]string{"git.checksum": first[:7]}, want: GitResult{first, heavy, "refs/tags/heavy", "git " + first}},
		{name: "by commit", frag: "#moved", attrs: map[string]string{"git.checksum": first, "git.fetchbycommit": "true"}, want: GitResult{first, first, "refs/heads/moved", "git " + first}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := localClient(t).ResolveGit(t.Context(), GitRequest{URL: "file://" + r.dir + tt.frag, Attrs: tt.attrs})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("result differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResolveGitErrors(t *testing.T) {
	r := newRepo(t, t.TempDir())
	id := r.commit(map[string]string{"a": "1"})
	empty := newRepo(t, t.TempDir())
	local := "file://" + r.dir
	tests := []struct {
		name, url string
		attrs     map[string]string
		want      error
	}{
		{name: "no such ref", url: local + "#nope", want: errs.ErrNotFound},
		{name: "short commit", url: local + "#" + id[:10], want: errs.ErrNotFound},
		{name: "empty repository", url: "file://" + empty.dir, want: errs.ErrNotFound},
		{name: "wrong checksum", url: local, attrs: map[string]string{"git.checksum": "1234567"}, want: errs.ErrDigest},
		{name: "wrong checksum of a commit", url: local + "#" + id, attrs: map[string]string{"git.checksum": "1234567"}, want: errs.ErrDigest},
		{name: "checksum is no id", url: local, attrs: map[string]string{"git.checksum": "x"}, want: errs.ErrInvalid},
		{name: "by short commit", url: local, attrs: map[string]string{"git.checksum": "1234567", "git.fetchbycommit": "true"}, want: errs.ErrInvalid},
		{name: "option as ref", url: local + "#--upload-pack=touch x", want: errs.ErrInvalid},
		{name: "expression as ref", url: local + "#main^{tree}", want: errs.ErrInvalid},
		{name: "pattern as ref", url: local + "#ma*", want: errs.ErrInvalid},
		{name: "helper", url: "ext::sh -c id", want: errs.ErrInvalid},
		{name: "helper by full URL", url: "example.com/x", attrs: map[string]string{"git.fullurl": "ext::sh -c id"}, want: errs.ErrInvalid},
		{name: "option as host", url: "ssh://-oProxyCommand=id/x", want: errs.ErrInvalid},
		{name: "option as scp host", url: "git@-oProxyCommand:x", want: errs.ErrInvalid},
		{name: "other protocol", url: "ftp://example.com/x.git", want: errs.ErrInvalid},
		{name: "full URL names another repository", url: "example.com/x.git", attrs: map[string]string{"git.fullurl": "https://example.com/y.git"}, want: errs.ErrInvalid},
		{name: "full URL names another host", url: "example.com/x.git", attrs: map[string]string{"git.fullurl": "https://example.org/x.git"}, want: errs.ErrInvalid},
		{name: "line break", url: "https://example.com/x\n.git", want: errs.ErrInvalid},
		{name: "mtime", url: local, attrs: map[string]string{"git.mtime": "never"}, want: errs.ErrInvalid},
		{name: "signature", url: local, attrs: map[string]string{"git.sig.pubkey": "k"}, want: errs.ErrUnsupported},
		{name: "bundle", url: local, attrs: map[string]string{"git.bundle": "oci-layout+blob://x"}, want: errs.ErrUnsupported},
		{name: "ssh agent not forwarded", url: "git@example.com:x.git", attrs: map[string]string{"git.mountsshsock": "default"}, want: errs.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := localClient(t).ResolveGit(t.Context(), GitRequest{URL: tt.url, Attrs: tt.attrs}); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	t.Run("local repository", func(t *testing.T) {
		for _, u := range []string{local, r.dir} {
			if _, err := (&Client{CacheDir: t.TempDir()}).ResolveGit(t.Context(), GitRequest{URL: u}); !errors.Is(err, errs.ErrUnsupported) {
				t.Errorf("%s: got %v, want ErrUnsupported", u, err)
			}
		}
	})
	t.Run("no git", func(t *testing.T) {
		c := localClient(t)
		c.Git = "no-such-git"
		_, err := c.ResolveGit(t.Context(), GitRequest{URL: local})
		if !errors.Is(err, errs.ErrUnsupported) || !strings.Contains(err.Error(), "package git") {
			t.Errorf("got %v, want ErrUnsupported that names the package", err)
		}
	})
}

func TestCheckoutGit(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			old := syscall.Umask(0o077)
			defer syscall.Umask(old)
			root := t.TempDir()
			r := newRepo(t, filepath.Join(root, "r.git"), "--object-format="+format)
			if err := os.Symlink("a", filepath.Join(r.dir, "link")); err != nil {
				t.Fatal(err)
			}
			r.commit(map[string]string{"a": "1", "d/run": "x", "d/e/f": "y", ".gitattributes": "win eol=crlf\n", "win": "l\n"})
			if err := os.Chmod(filepath.Join(r.dir, "d/run"), 0o700); err != nil {
				t.Fatal(err)
			}
			r.commit(nil)
			r.git("tag", "-a", "-m", "t", "v1")
			r.commit(map[string]string{"a": "2"})

			whole := []string{".gitattributes -rw-r--r-- win eol=crlf\n", "a -rw-r--r-- 1", "d drwxr-xr-x", "d/e drwxr-xr-x", "d/e/f -rw-r--r-- y", "d/run -rwxr-xr-x x", "link Lrwxrwxrwx -> a", "win -rw-r--r-- l\r\n"}
			for _, base := range []string{"file://" + r.dir, serveGit(t, root, nil) + "/r.git/.git"} {
				c := localClient(t)
				_, dir, err := checkOut(t, c, GitRequest{URL: base + "#v1"})
				if err != nil {
					t.Fatal(err)
				}
				wantTree(t, dir, whole...)
				if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
					t.Error(".git is there unasked")
				}
				_, dir, err = checkOut(t, c, GitRequest{URL: base + "#v1:d/e"})
				if err != nil {
					t.Fatal(err)
				}
				wantTree(t, dir, "f -rw-r--r-- y")
				_, dir, err = checkOut(t, c, GitRequest{URL: base + "#:d"})
				if err != nil {
					t.Fatal(err)
				}
				wantTree(t, dir, "e drwxr-xr-x", "e/f -rw-r--r-- y", "run -rwxr-xr-x x")
			}
		})
	}
}

func TestCheckoutGitMTime(t *testing.T) {
	r := newRepo(t, t.TempDir())
	if err := os.Symlink("nowhere", filepath.Join(r.dir, "link")); err != nil {
		t.Fatal(err)
	}
	r.commit(map[string]string{"a": "1", "d/b": "2"})
	_, dir, err := checkOut(t, localClient(t), GitRequest{URL: r.dir, Attrs: map[string]string{"git.mtime": "commit"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".", "a", "d", "d/b", "link"} {
		fi, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !fi.ModTime().Equal(commitTime) {
			t.Errorf("%s has time %v, want %v", name, fi.ModTime(), commitTime)
		}
	}
}

func TestCheckoutGitKeepsGitDir(t *testing.T) {
	root := t.TempDir()
	r := newRepo(t, filepath.Join(root, "r.git"))
	r.commit(map[string]string{"a": "0"})
	first := r.commit(map[string]string{"a": "1"})
	r.git("tag", "-a", "-m", "t", "v1")
	base := serveGit(t, root, nil)
	for frag, ref := range map[string]string{"": "refs/heads/main", "#v1": "refs/tags/v1", "#" + first: ""} {
		t.Run(frag, func(t *testing.T) {
			user := strings.Replace(base, "://", "://me:geheim@", 1)
			_, dir, err := checkOut(t, localClient(t), GitRequest{URL: user + "/r.git/.git" + frag, Attrs: map[string]string{"git.keepgitdir": "true"}})
			if err != nil {
				t.Fatal(err)
			}
			wantTree(t, dir, "a -rw-r--r-- 1")
			clone := &testRepo{TB: t, dir: dir}
			if got := clone.git("rev-parse", "HEAD"); got != first {
				t.Errorf("HEAD is %s, want %s", got, first)
			}
			if got := clone.git("status", "--porcelain"); got != "" {
				t.Errorf("status is not clean: %s", got)
			}
			if got := clone.git("for-each-ref", "--format=%(refname)"); got != ref {
				t.Errorf("refs are %q, want %q", got, ref)
			}
			if got := clone.git("rev-list", "--count", "HEAD"); got != "1" {
				t.Errorf("history has %s commits, want 1", got)
			}
			if got, want := clone.git("remote", "get-url", "origin"), base+"/r.git/.git"; got != want {
				t.Errorf("origin is %s, want %s", got, want)
			}
			err = filepath.WalkDir(filepath.Join(dir, ".git"), func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				raw, err := os.ReadFile(path)
				if bytes.Contains(raw, []byte("geheim")) || bytes.Contains(raw, []byte("tmp-")) || bytes.Contains(raw, []byte("refs/mica")) {
					t.Errorf("%s tells how it was made: %s", path, raw)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestCheckoutGitKeptDirIsReproducible(t *testing.T) {
	r := newRepo(t, t.TempDir())
	r.commit(map[string]string{"a": "1", "d/b": "2"})
	var trees [2]map[string]string
	for i := range trees {
		_, dir, err := checkOut(t, localClient(t), GitRequest{URL: r.dir, Attrs: map[string]string{"git.keepgitdir": "true"}})
		if err != nil {
			t.Fatal(err)
		}
		trees[i] = map[string]string{}
		err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			trees[i][strings.TrimPrefix(path, dir)] = string(raw)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(trees[0], trees[1]); diff != "" {
		t.Errorf("two checkouts differ:\n%s", diff)
	}
}

func TestCheckoutGitOnce(t *testing.T) {
	root := t.TempDir()
	r := newRepo(t, filepath.Join(root, "r"))
	id := r.commit(map[string]string{"a": "1"})
	var mu sync.Mutex
	var fetches int
	base := serveGit(t, root, func(_ http.ResponseWriter, req *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if req.Method == http.MethodPost {
			body, err := readAll(req)
			if err != nil {
				t.Error(err)
			}
			if strings.Contains(body, "want ") {
				fetches++
			}
		}
		return false
	})
	cache := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c := &Client{CacheDir: cache}
			dir := openDir(t, t.TempDir())
			if err := c.CheckoutGit(t.Context(), GitRequest{URL: base + "/r/.git#" + id}, &GitResult{Commit: id, Object: id, Ref: id}, dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if fetches != 1 {
		t.Errorf("fetched %d times, want once", fetches)
	}
}

func TestGitMovingBranch(t *testing.T) {
	r := newRepo(t, t.TempDir())
	r.commit(map[string]string{"a": "1"})
	c := localClient(t)
	req := GitRequest{URL: r.dir + "#main"}
	old, err := c.ResolveGit(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	r.commit(map[string]string{"a": "2"})
	_, dir, err := checkOut(t, c, req)
	if err != nil {
		t.Fatal(err)
	}
	wantTree(t, dir, "a -rw-r--r-- 2")
	dir = t.TempDir()
	if err := c.CheckoutGit(t.Context(), req, old, openDir(t, dir)); err != nil {
		t.Fatal(err)
	}
	wantTree(t, dir, "a -rw-r--r-- 1")
	// A branch becomes the directory of another.
	r.git("checkout", "-q", "-b", "main2")
	r.git("branch", "-D", "main")
	r.git("branch", "main/sub")
	if _, _, err := checkOut(t, c, GitRequest{URL: r.dir + "#main/sub"}); err != nil {
		t.Error(err)
	}
}

// Servers that speak protocol 0 and give out only what refs point to need the
// history of all refs to find an older commit.
func TestGitStrictServer(t *testing.T) {
	root := t.TempDir()
	r := newRepo(t, filepath.Join(root, "r"))
	old := r.commit(map[string]string{"a": "1"})
	r.commit(map[string]string{"a": "2"})
	base := serveGit(t, root, func(_ http.ResponseWriter, req *http.Request) bool {
		req.Header.Del("Git-Protocol")
		return false
	})
	_, dir, err := checkOut(t, &Client{CacheDir: t.TempDir()}, GitRequest{URL: base + "/r/.git#" + old})
	if err != nil {
		t.Fatal(err)
	}
	wantTree(t, dir, "a -rw-r--r-- 1")
	_, _, err = checkOut(t, &Client{CacheDir: t.TempDir()}, GitRequest{URL: base + "/r/.git#" + strings.Repeat("1", 40)})
	if !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("missing commit: got %v, want ErrNotFound", err)
	}
}

// Dumb servers know neither shallow fetches nor single objects.
func TestGitDumbServer(t *testing.T) {
	root := t.TempDir()
	r := newRepo(t, filepath.Join(root, "r"))
	r.commit(map[string]string{"a": "1"})
	r.git("update-server-info")
	base := serve(t, http.FileServer(http.Dir(root)))
	_, dir, err := checkOut(t, &Client{CacheDir: t.TempDir()}, GitRequest{URL: base + "/r/.git#main"})
	if err != nil {
		t.Fatal(err)
	}
	wantTree(t, dir, "a -rw-r--r-- 1")
}

func TestGitCredentials(t *testing.T) {
	root := t.TempDir()
	r := newRepo(t, filepath.Join(root, "r"))
	r.commit(map[string]string{"a": "1"})
	const token, basic = "basic eC1hY2Nlc3MtdG9rZW46Z2VoZWlt", "basic bWU6Z2VoZWlt" // x-access-token:geheim, me:geheim
	tests := []struct {
		name, user string
		secrets    secretMap
		want       string
	}{
		{name: "token", secrets: secretMap{"T": "geheim\n"}, want: token},
		{name: "header", secrets: secretMap{"H": "Bearer geheim"}, want: "Bearer geheim"},
		{name: "header before token", secrets: secretMap{"H": "Bearer geheim", "T": "geheim"}, want: "Bearer geheim"},
		{name: "token of the host before header", secrets: secretMap{"H": "Bearer x", "T.HOST": "geheim"}, want: token},
		{name: "URL", user: "me:geheim@", want: basic},
		{name: "secret before URL", user: "me:other@", secrets: secretMap{"T": "geheim"}, want: token},
		{name: "none"},
		{name: "wrong", user: "me:geheimer@"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := serveGit(t, root, func(w http.ResponseWriter, req *http.Request) bool {
				if got := req.Header.Get("Authorization"); tt.want == "" || got != tt.want {
					w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
					w.WriteHeader(http.StatusUnauthorized)
					return true
				}
				return false
			})
			secrets := secretMap{}
			for k, v := range tt.secrets {
				secrets[strings.Replace(k, "HOST", strings.TrimPrefix(base, "http://"), 1)] = v
			}
			c := &Client{CacheDir: t.TempDir(), Secrets: secrets}
			req := GitRequest{URL: strings.Replace(base, "://", "://"+tt.user, 1) + "/r/.git", Attrs: map[string]string{"git.authtokensecret": "T", "git.authheadersecret": "H"}}
			_, dir, err := checkOut(t, c, req)
			if tt.want == "" {
				if !errors.Is(err, errs.ErrUnauthorized) || strings.Contains(err.Error(), "geheim") {
					t.Errorf("got %v, want ErrUnauthorized without credentials", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantTree(t, dir, "a -rw-r--r-- 1")
		})
	}
}

func TestGitObjects(t *testing.T) {
	r := newRepo(t, t.TempDir())
	r.commit(map[string]string{"a": "1"})
	r.git("tag", "-a", "-m", "words", "v1")
	c := localClient(t)
	req := GitRequest{URL: r.dir + "#v1"}
	res, err := c.ResolveGit(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	commit, tag, err := c.GitObjects(t.Context(), req, res)
	if err != nil {
		t.Fatal(err)
	}
	if want := r.git("cat-file", "commit", "v1^{}"); strings.TrimSpace(string(commit)) != want {
		t.Errorf("commit is %q, want %q", commit, want)
	}
	if want := r.git("cat-file", "tag", "v1"); strings.TrimSpace(string(tag)) != want {
		t.Errorf("tag is %q, want %q", tag, want)
	}
}

func TestDamagedMirror(t *testing.T) {
	root := t.TempDir()
	r := newRepo(t, filepath.Join(root, "r"))
	r.commit(map[string]string{"a": "1"})
	top := newRepo(t, filepath.Join(root, "top"))
	base := serveGit(t, root, nil)
	top.git("submodule", "add", "-q", base+"/r/.git", "sub")
	top.commit(nil)
	for _, object := range []string{"tree", "blob"} {
		t.Run(object, func(t *testing.T) {
			c := &Client{CacheDir: t.TempDir()}
			req := GitRequest{URL: base + "/top/.git"}
			if _, _, err := checkOut(t, c, req); err != nil {
				t.Fatal(err)
			}
			packs, err := filepath.Glob(filepath.Join(c.CacheDir, "git", "*", "objects", "pack", "*.pack"))
			if err != nil || len(packs) != 2 {
				t.Fatalf("packs %v (%v), want one in each of two mirrors", packs, err)
			}
			for _, pack := range packs {
				breakPack(t, pack, object)
			}
			_, dir, err := checkOut(t, c, req)
			if err != nil {
				t.Fatal(err)
			}
			if raw, err := os.ReadFile(filepath.Join(dir, "sub", "a")); err != nil || string(raw) != "1" {
				t.Errorf("sub/a is %q (%v)", raw, err)
			}
		})
	}
}

// breakPack takes the objects of a kind out of a pack.
func breakPack(t testing.TB, pack, kind string) {
	t.Helper()
	dir := filepath.Dir(filepath.Dir(filepath.Dir(pack)))
	git := &testRepo{TB: t, dir: dir}
	moved := filepath.Join(t.TempDir(), "pack")
	if err := os.Rename(pack, moved); err != nil {
		t.Fatal(err)
	}
	others, err := filepath.Glob(strings.TrimSuffix(pack, "pack") + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range others {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	unpack := exec.Command("git", "--git-dir="+dir, "unpack-objects", "-q")
	if unpack.Stdin, err = os.Open(moved); err != nil {
		t.Fatal(err)
	}
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("unpack: %v\n%s", err, out)
	}
	for line := range strings.Lines(git.git("cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectname)")) {
		typ, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		if typ == kind {
			if err := os.Remove(filepath.Join(dir, "objects", id[:2], id[2:])); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestCopyTree(t *testing.T) {
	r := newRepo(t, t.TempDir())
	if err := os.Symlink("/nowhere", filepath.Join(r.dir, "link")); err != nil {
		t.Fatal(err)
	}
	r.commit(map[string]string{"a": "1", "d/e/f": "2"})
	if err := os.Chmod(filepath.Join(r.dir, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.commit(nil)
	_, from, err := checkOut(t, localClient(t), GitRequest{URL: r.dir, Attrs: map[string]string{"git.mtime": "commit"}})
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	if err := copyTree(from, openDir(t, to), "copy"); err != nil {
		t.Fatal(err)
	}
	wantTree(t, filepath.Join(to, "copy"), list(t, from)...)
	for _, name := range []string{".", "a", "d", "d/e", "d/e/f", "link"} {
		fi, err := os.Lstat(filepath.Join(to, "copy", name))
		if err != nil {
			t.Fatal(err)
		}
		if !fi.ModTime().Equal(commitTime) {
			t.Errorf("%s has time %v, want %v", name, fi.ModTime(), commitTime)
		}
	}
}

func TestTidyMirror(t *testing.T) {
	r := newRepo(t, t.TempDir())
	c := localClient(t)
	req := GitRequest{URL: r.dir}
	var all []*GitResult
	for i := range 3 {
		r.commit(map[string]string{"a": fmt.Sprint(i)})
		res, _, err := checkOut(t, c, req)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, res)
	}
	m, err := c.mirror(remote{url: "file://" + r.dir}, all[0].Object, gitRunner{})
	if err != nil {
		t.Fatal(err)
	}
	count := func() int {
		packs, err := filepath.Glob(filepath.Join(m.dir, "objects", "pack", "*.pack"))
		if err != nil {
			t.Fatal(err)
		}
		return len(packs)
	}
	if err := m.tidy(t.Context(), 3); err != nil || count() != 3 {
		t.Errorf("below the limit: %d packs, %v; want 3", count(), err)
	}
	if err := m.tidy(t.Context(), 2); err != nil || count() != 1 {
		t.Errorf("above the limit: %d packs, %v; want 1", count(), err)
	}
	r.git("checkout", "-q", "--orphan", "other")
	r.git("branch", "-D", "main")
	for i, res := range all {
		dir := t.TempDir()
		if err := c.CheckoutGit(t.Context(), req, res, openDir(t, dir)); err != nil {
			t.Fatal(err)
		}
		wantTree(t, dir, "a -rw-r--r-- "+fmt.Sprint(i))
	}
}
