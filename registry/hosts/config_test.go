package hosts_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/hosts"
	"github.com/mica-build/mica/registry/remote"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// load writes files below a directory and reads them.
func load(t *testing.T, files map[string]string) (*hosts.Config, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return hosts.Load(hosts.Options{
		Mica:       []string{filepath.Join(dir, "user.toml"), filepath.Join(dir, "mica.toml")},
		DockerFile: filepath.Join(dir, "daemon.json"),
		Containerd: []string{filepath.Join(dir, "certs.d")},
		Registries: []string{filepath.Join(dir, "registries.conf"), filepath.Join(dir, "registries.conf.d")},
	})
}

func TestMirrors(t *testing.T) {
	daemon := `{"registry-mirrors": ["https://docker-mirror:5000/", "http://plain/hub"], "insecure-registries": ["10.0.0.0/8", "old:5000"]}`
	podman := `
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "quay.io/team"
location = "internal:5000/quay-team"
[[registry.mirror]]
location = "near:5000/q"
pull-from-mirror = "digest-only"
insecure = true
[[registry]]
location = "bad.example.com"
blocked = true
[[registry]]
prefix = "*.wild.example.com"
[[registry.mirror]]
location = "wild-mirror"
`
	containerd := `
server = "https://docker.io"
[host."https://second.example.com/v2/hub"]
  capabilities = ["pull"]
  override_path = true
[host."http://first.example.com"]
  capabilities = ["pull", "resolve"]
  skip_verify = true
[host."https://push-only.example.com"]
  capabilities = ["push"]
`
	for _, tt := range []struct {
		name         string
		files        map[string]string
		domain, path string
		want         []remote.Mirror
		err          string
	}{
		{name: "nothing", domain: "docker.io", path: "library/x"},
		{
			name: "mica", domain: "docker.io", path: "library/x",
			files: map[string]string{"mica.toml": "[registry.\"docker.io\"]\nmirrors = [\"a:5000\", \"https://b/hub\"]\n[[registry.\"docker.io\".mirror]]\nlocation = \"c\"\nns = false\npull = \"digest\"\n"},
			want: []remote.Mirror{
				{Host: "c", Path: "library/x"},
				{Host: "a:5000", Path: "library/x", Namespace: "docker.io", Tags: true},
				{Host: "b", Path: "hub/library/x", Namespace: "docker.io", Tags: true},
			},
		},
		{
			name: "the user's before the machine's, and these before docker's", domain: "docker.io", path: "library/x",
			files: map[string]string{
				"user.toml": "[registry.\"docker.io\"]\nmirrors = [\"mine\"]\n", "mica.toml": "[registry.\"docker.io\"]\nmirrors = [\"a\"]\n", "daemon.json": daemon,
			},
			want: []remote.Mirror{{Host: "mine", Path: "library/x", Namespace: "docker.io", Tags: true}},
		},
		{
			name: "a repository of a registry", domain: "h", path: "team/app",
			files: map[string]string{"mica.toml": "[registry.\"h/team\"]\nmirrors = [\"m/copies\"]\n[registry.\"h\"]\nmirrors = [\"all\"]\n"},
			want:  []remote.Mirror{{Host: "m", Path: "copies/app", Namespace: "h", Tags: true}},
		},
		{
			name: "not one that only begins alike", domain: "h", path: "teams/app",
			files: map[string]string{"mica.toml": "[registry.\"h/team\"]\nmirrors = [\"m\"]\n"},
		},
		{
			name: "docker", domain: "docker.io", path: "library/x", files: map[string]string{"daemon.json": daemon},
			want: []remote.Mirror{
				{Host: "docker-mirror:5000", Path: "library/x", Namespace: "docker.io", Tags: true},
				{Host: "plain", Path: "hub/library/x", Namespace: "docker.io", Tags: true},
			},
		},
		{name: "docker's are for docker.io only", domain: "quay.io", path: "x", files: map[string]string{"daemon.json": daemon}},
		{
			name: "podman", domain: "quay.io", path: "team/app", files: map[string]string{"registries.conf": podman},
			want: []remote.Mirror{{Host: "near:5000", Path: "q/app"}, {Host: "internal:5000", Path: "quay-team/app", Tags: true}},
		},
		{
			name: "podman's drop-in", domain: "quay.io", path: "team/app", files: map[string]string{"registries.conf.d/a.conf": podman, "registries.conf.d/README": "not TOML"},
			want: []remote.Mirror{{Host: "near:5000", Path: "q/app"}, {Host: "internal:5000", Path: "quay-team/app", Tags: true}},
		},
		{name: "podman: blocked", domain: "bad.example.com", path: "x", files: map[string]string{"registries.conf": podman}, err: "blocked by"},
		{
			name: "podman: wildcard", domain: "a.wild.example.com", path: "x", files: map[string]string{"registries.conf": podman},
			want: []remote.Mirror{{Host: "wild-mirror", Path: "x", Tags: true}},
		},
		{
			name: "containerd", domain: "docker.io", path: "library/x", files: map[string]string{"certs.d/docker.io/hosts.toml": containerd},
			want: []remote.Mirror{
				{Host: "second.example.com", Path: "hub/library/x", Namespace: "docker.io"},
				{Host: "first.example.com", Path: "library/x", Namespace: "docker.io", Tags: true},
			},
		},
		{
			name: "containerd's default", domain: "anything:1", path: "x", files: map[string]string{"certs.d/_default/hosts.toml": "[host.\"https://one\"]\n"},
			want: []remote.Mirror{{Host: "one", Path: "x", Namespace: "anything:1", Tags: true}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := load(t, tt.files)
			must(t, err)
			got, err := c.Mirrors(tt.domain, tt.path)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHost(t *testing.T) {
	c, err := load(t, map[string]string{
		"mica.toml":                   "[registry.\"a:1\"]\ninsecure = true\nca = \"/ca.pem\"\nclient-cert = \"/c\"\nclient-key = \"/k\"\n[[registry.\"a:1\".mirror]]\nlocation = \"http://m\"\n",
		"daemon.json":                 `{"insecure-registries": ["10.0.0.0/8", "old:5000"]}`,
		"certs.d/x/hosts.toml":        "[host.\"https://x\"]\nca = \"ca.crt\"\nclient = [[\"c.cert\", \"c.key\"]]\nskip_verify = true\n",
		"registries.conf":             "[[registry]]\nlocation = \"r\"\ninsecure = true\n",
		"registries.conf.d/more.conf": "[[registry]]\nlocation = \"b\"\nblocked = true\n",
	})
	must(t, err)
	for name, want := range map[string]remote.Host{
		"a:1":        {Insecure: true, CA: "/ca.pem", ClientCert: "/c", ClientKey: "/k"},
		"m":          {Insecure: true},
		"old:5000":   {Insecure: true},
		"10.1.2.3":   {Insecure: true},
		"10.1.2.3:5": {Insecure: true},
		"11.1.2.3":   {},
		"r":          {Insecure: true},
		"b":          {Blocked: true},
		"other":      {},
	} {
		got, err := c.Host(name)
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	x, err := c.Host("x")
	must(t, err)
	if !x.Insecure || filepath.Base(x.CA) != "ca.crt" || !filepath.IsAbs(x.CA) || filepath.Base(x.ClientKey) != "c.key" {
		t.Errorf("x: %+v", x)
	}
}

func TestSettings(t *testing.T) {
	c, err := load(t, map[string]string{
		"user.toml": "tag-ttl = \"1h\"\n",
		"mica.toml": "# comment\noffline = true\ntag-ttl = \"2h\"\n",
	})
	must(t, err)
	if why, off := c.Offline(); !off || !strings.HasSuffix(why, "mica.toml:2") {
		t.Errorf("offline %v, because of %q", off, why)
	}
	if c.TagTTL() != time.Hour {
		t.Errorf("TTL %v", c.TagTTL())
	}
	var lines []string
	for _, s := range c.Settings() {
		lines = append(lines, s.Key+" "+s.Value+" "+filepath.Base(s.From))
	}
	if diff := cmp.Diff([]string{"offline true mica.toml:2", "tag-ttl 1h0m0s user.toml:1"}, lines); diff != "" {
		t.Error(diff)
	}
	c, err = load(t, nil)
	must(t, err)
	if _, off := c.Offline(); off || c.TagTTL() != hosts.DefaultTagTTL || len(c.Settings()) != 2 {
		t.Errorf("by default: %+v", c.Settings())
	}
}

func TestBadFiles(t *testing.T) {
	for _, tt := range []struct{ file, text, want string }{
		{"mica.toml", "\nofline = true\n", `mica.toml:2: there is no setting "ofline"`},
		{"mica.toml", "offline = \"yes\"\n", "mica.toml:1:"},
		{"mica.toml", "tag-ttl = \"soon\"\n", "mica.toml:1: tag-ttl"},
		{"mica.toml", "[registry.\"x\"]\nmirrors = [\"ftp://y\"]\n", "mica.toml:1: mirror of x"},
		{"mica.toml", "[registry.\"x\"]\nmirrors = [\"\"]\n", "mirror of x"},
		{"mica.toml", "[registry.\"x\"]\nmirrors = [\"user:pw@y\"]\n", "mirror of x"},
		{"mica.toml", "[[registry.\"x\".mirror]]\nlocation = \"y\"\npull = \"never\"\n", "it is all or digest"},
		{"daemon.json", "{", "daemon.json"},
		{"certs.d/x/hosts.toml", "[host", "hosts.toml:1:"},
		{"registries.conf", "[[registry]]\ninsecure = true\n", "neither prefix nor location"},
	} {
		if _, err := load(t, map[string]string{tt.file: tt.text}); !errors.Is(err, errs.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: error %v, want one with %q", tt.file, tt.text, err, tt.want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("mica.toml", []byte("[registry.\"x\"]\nmirrors = [\"a\"]\n"))
	f.Add("daemon.json", []byte(`{"registry-mirrors": ["https://a"], "insecure-registries": ["10.0.0.0/8"]}`))
	f.Add("certs.d/x/hosts.toml", []byte("[host.\"https://x\"]\nclient = [[\"c\", \"k\"]]\n"))
	f.Add("registries.conf", []byte("[[registry]]\nprefix = \"*.x\"\n[[registry.mirror]]\nlocation = \"y\"\n"))
	names := []string{"mica.toml", "daemon.json", "certs.d/x/hosts.toml", "registries.conf"}
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		for _, n := range names {
			if n != name {
				continue
			}
			dir := t.TempDir()
			path := filepath.Join(dir, n)
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, raw, 0o644))
			c, err := hosts.Load(hosts.Options{
				Mica: []string{filepath.Join(dir, "mica.toml")}, DockerFile: filepath.Join(dir, "daemon.json"),
				Containerd: []string{filepath.Join(dir, "certs.d")}, Registries: []string{filepath.Join(dir, "registries.conf")},
			})
			if err != nil {
				continue
			}
			_, _ = c.Mirrors("docker.io", "library/x")
			_, _ = c.Host("10.0.0.1:5000")
		}
	})
}
