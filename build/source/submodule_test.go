package source

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/errs"
)

func TestCheckoutGitSubmodules(t *testing.T) {
	root := t.TempDir()
	leaf := newRepo(t, filepath.Join(root, "leaf"))
	leaf.commit(map[string]string{"l": "leaf"})
	mid := newRepo(t, filepath.Join(root, "mid"))
	base := serveGit(t, root, nil)
	mid.git("submodule", "add", "-q", base+"/leaf/.git", "deep/leaf")
	mid.commit(map[string]string{"m": "mid"})
	top := newRepo(t, filepath.Join(root, "top"))
	top.git("submodule", "add", "-q", base+"/mid/.git", "sub/mid")
	top.git("submodule", "add", "-q", base+"/leaf/.git", "skipped")
	top.git("config", "-f", ".gitmodules", "submodule.sub/mid.url", "../../mid/.git")
	top.git("config", "-f", ".gitmodules", "submodule.skipped.update", "none")
	top.commit(map[string]string{"t": "top"})
	leaf.commit(map[string]string{"l": "newer"})

	without := []string{"skipped drwxr-xr-x", "sub drwxr-xr-x", "sub/mid drwxr-xr-x", "t -rw-r--r-- top"}
	with := []string{
		"skipped drwxr-xr-x", "sub drwxr-xr-x", "sub/mid drwxr-xr-x",
		"sub/mid/deep drwxr-xr-x", "sub/mid/deep/leaf drwxr-xr-x", "sub/mid/deep/leaf/l -rw-r--r-- leaf", "sub/mid/m -rw-r--r-- mid",
		"t -rw-r--r-- top",
	}
	tests := []struct {
		name, frag string
		attrs      map[string]string
		want       []string
	}{
		{name: "with", want: with},
		{name: "without", attrs: map[string]string{"git.skipsubmodules": "true"}, want: without},
		{name: "subdirectory in one", frag: "#:sub/mid/deep", want: []string{"leaf drwxr-xr-x", "leaf/l -rw-r--r-- leaf"}},
		{name: "git kept", attrs: map[string]string{"git.keepgitdir": "true"}, want: with},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, dir, err := checkOut(t, &Client{CacheDir: t.TempDir()}, GitRequest{URL: base + "/top/.git" + tt.frag, Attrs: tt.attrs})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, line := range list(t, dir) {
				if !strings.Contains(line, ".gitmodules ") && !strings.Contains(line, "/.git ") {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("tree differs (-want +got):\n%s", diff)
			}
			if _, err := os.Lstat(filepath.Join(dir, "sub/mid/.git")); (err == nil) != (tt.name == "git kept") {
				t.Errorf("the submodule's .git: %v", err)
			}
		})
	}
}

// gitlinkRepo makes a repository whose tree has a gitlink at path and the given
// .gitmodules, as nobody honest would.
func gitlinkRepo(t testing.TB, dir, path, gitmodules string) *testRepo {
	t.Helper()
	r := newRepo(t, dir)
	r.commit(map[string]string{".gitmodules": gitmodules})
	r.git("update-index", "--add", "--cacheinfo", "160000,"+r.git("rev-parse", "HEAD")+","+path)
	r.git("commit", "-q", "-m", "x")
	return r
}

func TestHostileSubmodules(t *testing.T) {
	root := t.TempDir()
	victim := newRepo(t, filepath.Join(root, "victim"))
	victim.commit(map[string]string{"secret": "x"})
	marker := filepath.Join(t.TempDir(), "ran")
	tests := []struct{ name, gitmodules string }{
		{name: "option as URL", gitmodules: "url = \"--upload-pack=touch " + marker + "\""},
		{name: "helper", gitmodules: "url = \"ext::sh -c touch% " + marker + "\""},
		{name: "local URL", gitmodules: "url = file://" + victim.dir},
		{name: "local path", gitmodules: "url = " + victim.dir},
		{name: "option as ssh host", gitmodules: "url = \"ssh://-oProxyCommand=touch " + marker + "/x\""},
		{name: "climbing out", gitmodules: "url = ../../../../../../victim"},
		{name: "no URL", gitmodules: "branch = x"},
		{name: "command as update", gitmodules: "update = !touch " + marker + "\n\turl = file:///nowhere"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := "r" + string(rune('a'+i))
			gitlinkRepo(t, filepath.Join(root, name), "sub", "[submodule \"sub\"]\n\tpath = sub\n\t"+tt.gitmodules+"\n")
			u := serveGit(t, root, nil) + "/" + name + "/.git"
			for _, keep := range []string{"", "true"} {
				_, dir, err := checkOut(t, localClient(t), GitRequest{URL: u, Attrs: map[string]string{"git.keepgitdir": keep}})
				if err == nil {
					t.Errorf("kept=%q: checked out %v, want an error", keep, list(t, dir))
				}
			}
			if _, err := os.Stat(marker); err == nil {
				t.Error("the repository ran a command")
			}
		})
	}
}

func TestHostileSubdirectory(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := newRepo(t, t.TempDir())
	for name, target := range map[string]string{"abs": outside, "up": "../../../../../../../../" + outside, "in": "dir"} {
		if err := os.Symlink(target, filepath.Join(r.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(r.dir, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.commit(map[string]string{"dir/f": "x"})
	for sub, want := range map[string]error{"abs": errs.ErrInvalid, "up": errs.ErrInvalid, "in": errs.ErrInvalid, "abs/x": errs.ErrInvalid, "dir/f": errs.ErrInvalid, "dir/f/g": errs.ErrInvalid, "nope": errs.ErrNotFound} {
		_, dir, err := checkOut(t, localClient(t), GitRequest{URL: r.dir + "#:" + sub})
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", sub, err, want)
		}
		if dir != "" && len(list(t, dir)) != 0 {
			t.Errorf("%s: left %v", sub, list(t, dir))
		}
	}
}

func TestSubmoduleURL(t *testing.T) {
	tests := []struct{ parent, sub, want string }{
		{"https://h/a/b.git", "../c.git", "https://h/a/c.git"},
		{"https://h/a/b.git", "../../c.git", "https://h/c.git"},
		{"https://h/a/b.git/", "./c/", "https://h/a/b.git/c"},
		{"https://h:8080/b.git", "../c.git", "https://h:8080/c.git"},
		{"https://h/a/b.git", "../../../c.git", ""},
		{"https://h:80/a", "../../c", ""},
		{"git@h:a/b.git", "../c.git", "git@h:a/c.git"},
		{"git@h:b.git", "../c.git", "git@h:c.git"},
		{"git@h:b.git", "../../c.git", ""},
		{"https://u:p@h/a/b.git", "../c.git", "https://h/a/c.git"},
		{"https://h/a/b.git", "https://o/x.git", "https://o/x.git"},
		{"https://h/a/b.git", "/etc", ""},
		{"https://h/a/b.git", "file:///etc", ""},
		{"https://h/a/b.git", "ext::id", ""},
		{"https://h/a/b.git", "-x", ""},
	}
	for _, tt := range tests {
		parent, err := parseRemote(tt.parent, false)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parent.submodule(tt.sub)
		if (err != nil) != (tt.want == "") || got.url != tt.want && err == nil {
			t.Errorf("%s in %s: got %q, %v; want %q", tt.sub, tt.parent, got.url, err, tt.want)
		}
		if strings.Contains(tt.parent, "u:p") && got.basic != parent.basic {
			t.Errorf("%s in %s lost its credentials", tt.sub, tt.parent)
		}
	}
}

func FuzzSubmoduleURL(f *testing.F) {
	f.Add("https://h/a/b.git", "../c.git")
	f.Add("git@h:a", "./../x")
	f.Add("ssh://u@h:22/a", "../../..")
	f.Fuzz(func(t *testing.T, parent, sub string) {
		p, err := parseRemote(parent, false)
		if err != nil {
			return
		}
		r, err := p.submodule(sub)
		if err != nil {
			return
		}
		if r.scheme == "file" || strings.HasPrefix(r.url, "-") || strings.Contains(r.url, "::") && !strings.Contains(r.url, "://") && !strings.Contains(r.url, "@") {
			t.Errorf("%q in %q gives %q", sub, parent, r.url)
		}
		if strings.HasPrefix(sub, "../") && r.host != p.host {
			t.Errorf("%q in %q leads to another host: %q", sub, parent, r.url)
		}
	})
}

func FuzzParseGitURL(f *testing.F) {
	f.Add("github.com/a/b.git#main:dir", "https://x:y@github.com/a/b.git")
	f.Add("git@h:p#r:../..", "")
	f.Add("ext::id", "--x")
	f.Fuzz(func(t *testing.T, id, full string) {
		s, err := parseGitURL(id, full, false)
		if err != nil {
			return
		}
		if s.remote.scheme == "file" || strings.HasPrefix(s.remote.url, "-") || !filepath.IsLocal(s.subdir) {
			t.Errorf("accepted %q: %+v", id, s)
		}
		if s.remote.basic != "" && len(s.remote.basic) > 8 && strings.Contains(s.remote.url, s.remote.basic) {
			t.Errorf("URL %q holds credentials", s.remote.url)
		}
	})
}

func FuzzParseGitLists(f *testing.F) {
	f.Add("submodule.a.b.path\nx\x00submodule.a.b.url\n../y\x00")
	f.Add("160000 1111111111111111111111111111111111111111 0\tsub\x00")
	f.Add("1111111111111111111111111111111111111111\tHEAD\nref: refs/heads/x\tHEAD\n")
	f.Fuzz(func(t *testing.T, s string) {
		for path, m := range parseGitmodules(s) {
			if path == "" || m.url == "" || m.path != path {
				t.Errorf("bad submodule %q %+v", path, m)
			}
		}
		for _, l := range parseGitlinks(s) {
			if !filepath.IsLocal(l.path) {
				t.Errorf("link at %q", l.path)
			}
		}
		if res, err := parseAdvertisement(s).head(); err == nil && checkRef(res.Ref) != nil {
			t.Errorf("head has ref %q", res.Ref)
		}
	})
}
