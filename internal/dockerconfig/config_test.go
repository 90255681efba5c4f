package dockerconfig

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/errs"
)

func basic(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// load writes a config.json and reads it.
func load(t *testing.T, text string) *Config {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// helper puts docker-credential-NAME into PATH. It knows one server, and keeps
// what it was told in a file.
func helper(t *testing.T, name, server, answer string) (logFile string) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("needs a shell")
	}
	dir := t.TempDir()
	logFile = filepath.Join(dir, "log")
	script := `#!/bin/sh
read -r line || true
echo "$1 $line" >>'` + logFile + `'
case "$1" in
get) if [ "$line" = '` + server + `' ]; then echo '` + answer + `'; else echo "credentials not found in native keychain"; exit 1; fi ;;
broken) exit 1 ;;
esac
`
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return logFile
}

func TestCredential(t *testing.T) {
	helper(t, "one", "helped:5000", `{"ServerURL":"x","Username":"<token>","Secret":"identity"}`)
	file := `{
		"auths": {
			"https://index.docker.io/v1/": {"auth": "` + basic("hub:secret") + `"},
			"localhost:5000": {"auth": "` + basic("local:a:b") + `"},
			"https://old.example/v1/": {"username": "u", "password": "p"},
			"token.example": {"identitytoken": "refresh", "registrytoken": "bearer"},
			"http://both.example/v2/": {"auth": "` + basic("url:x") + `"},
			"both.example": {"auth": "` + basic("host:x") + `"},
			"nul.example": {"auth": "` + basic("u:p\x00\x00") + `"}
		},
		"credHelpers": {"helped:5000": "one", "unhelped:5000": "one"}
	}`
	c := load(t, file)
	for _, tt := range []struct {
		host string
		want Credential
	}{
		{"docker.io", Credential{Username: "hub", Password: "secret"}},
		{"localhost:5000", Credential{Username: "local", Password: "a:b"}},
		{"localhost:5001", Credential{}},
		{"old.example", Credential{Username: "u", Password: "p"}},
		{"token.example", Credential{IdentityToken: "refresh", RegistryToken: "bearer"}},
		{"both.example", Credential{Username: "host", Password: "x"}},
		{"nul.example", Credential{Username: "u", Password: "p"}},
		{"helped:5000", Credential{IdentityToken: "identity"}},
		{"unhelped:5000", Credential{}},
		{"unknown", Credential{}},
	} {
		got, err := c.Credential(context.Background(), tt.host)
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v; want %+v", tt.host, got, err, tt.want)
		}
	}
}

func TestPrecedence(t *testing.T) {
	helper(t, "one", "h", `{"Username":"helper","Secret":"x"}`)
	helper(t, "all", "h", `{"Username":"store","Secret":"x"}`)
	auths := `"auths":{"h":{"auth":"` + basic("file:x") + `"}}`
	for _, tt := range []struct{ name, env, file, want string }{
		{"file", "", `{` + auths + `}`, "file"},
		{"store over file", "", `{"credsStore":"all",` + auths + `}`, "store"},
		{"helper over store", "", `{"credsStore":"all","credHelpers":{"h":"one"},` + auths + `}`, "helper"},
		{"environment over all", `{"auths":{"h":{"auth":"` + basic("env:x") + `"}}}`, `{"credsStore":"all","credHelpers":{"h":"one"},` + auths + `}`, "env"},
		{"environment for another host", `{"auths":{"o":{"auth":"` + basic("env:x") + `"}}}`, `{` + auths + `}`, "file"},
		{"only auth counts in the environment", `{"auths":{"h":{"username":"env","password":"x"}}}`, `{` + auths + `}`, "file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("DOCKER_AUTH_CONFIG", tt.env)
			got, err := load(t, tt.file).Credential(context.Background(), "h")
			if err != nil || got.Username != tt.want {
				t.Errorf("user %q, %v; want %q", got.Username, err, tt.want)
			}
		})
	}
}

// TestErrors makes sure that they are there and tell no secret.
func TestErrors(t *testing.T) {
	ctx := context.Background()
	check := func(name string, err, want error) {
		t.Helper()
		if err == nil || (want != nil && !errors.Is(err, want)) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), basic("hunter2"))) {
			t.Errorf("%s tells the secret: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"no JSON":    `{"auths":{"h":{"auth":hunter2}}}`,
		"wrong type": `{"auths":{"h":{"auth":["hunter2"]}}}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(dir)
		check(name, err, errs.ErrInvalid)
	}
	for name, authValue := range map[string]string{"no base64": "hunter2!", "no colon": basic("hunter2")} {
		_, err := load(t, `{"auths":{"h":{"auth":"`+authValue+`"}}}`).Credential(ctx, "h")
		check(name, err, errs.ErrInvalid)
	}
	_, err := load(t, `{"credsStore":"not-there"}`).Credential(ctx, "h")
	check("missing helper", err, nil)
	helper(t, "junk", "h", "hunter2 is no JSON")
	_, err = load(t, `{"credsStore":"junk"}`).Credential(ctx, "h")
	check("helper that prints junk", err, nil)
}

func TestStoreAndErase(t *testing.T) {
	ctx := context.Background()
	c := load(t, `{"auths":{"https://index.docker.io/v1/":{"auth":"`+basic("old:x")+`"},"http://h/v1/":{"auth":"`+basic("old:x")+`"}},"unknown":{"kept":[1]}}`)
	for _, host := range []string{"docker.io", "h", "new:5000"} {
		plain, err := c.Store(ctx, host, Credential{Username: "me", Password: "p:w"})
		if err != nil || !plain {
			t.Fatalf("Store(%s) = %v, %v", host, plain, err)
		}
	}
	raw, err := os.ReadFile(c.Path())
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	text := `{"auths":{"https://index.docker.io/v1/":{"auth":"A"},"h":{"auth":"A"},"new:5000":{"auth":"A"}},"unknown":{"kept":[1]}}`
	if err := json.Unmarshal([]byte(strings.ReplaceAll(text, `"A"`, `"`+basic("me:p:w")+`"`)), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	if st, err := os.Stat(c.Path()); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := c.Erase(ctx, "docker.io"); err != nil {
		t.Error(err)
	}
	if err := c.Erase(ctx, "docker.io"); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("second Erase: %v", err)
	}
	again, err := Load(filepath.Dir(c.Path()))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"docker.io": "", "h": "me"} {
		if got, err := again.Credential(ctx, host); err != nil || got.Username != want {
			t.Errorf("%s afterwards: %q, %v; want %q", host, got.Username, err, want)
		}
	}
}

func TestStoreWithHelper(t *testing.T) {
	ctx := context.Background()
	log := helper(t, "one", "h", `{"Username":"me","Secret":"x"}`)
	c := load(t, `{"credsStore":"one"}`)
	if plain, err := c.Store(ctx, "h", Credential{Username: "me", Password: "secret"}); err != nil || plain {
		t.Fatalf("Store = %v, %v", plain, err)
	}
	if err := c.Erase(ctx, "h"); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	want := "store {\"ServerURL\":\"h\",\"Username\":\"me\",\"Secret\":\"secret\"}\nget h\nerase h\n"
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("what the helper was told (-want +got):\n%s", diff)
	}
	if file, _ := os.ReadFile(c.Path()); strings.Contains(string(file), basic("me:secret")) {
		t.Errorf("the file has the secret: %s", file)
	}
}

func TestSettings(t *testing.T) {
	c := load(t, `{"proxies":{"default":{"httpProxy":"a"},"tcp://d":{"noProxy":"b"}},"HttpHeaders":{"X":"y"},"imagesFormat":"{{.ID}}"}`)
	if got := c.ProxyFor("tcp://d"); got != (Proxy{NoProxy: "b"}) {
		t.Errorf("proxy %+v", got)
	}
	if got := c.ProxyFor(""); got != (Proxy{HTTPProxy: "a"}) {
		t.Errorf("default proxy %+v", got)
	}
	if c.HTTPHeaders()["X"] != "y" || c.Format("images") != "{{.ID}}" || c.Format("ps") != "" {
		t.Errorf("settings %+v", c.settings)
	}
	t.Setenv("DOCKER_CONFIG", filepath.Join(t.TempDir(), "none"))
	if c, err := Load(""); err != nil || !strings.HasSuffix(c.Path(), filepath.Join("none", "config.json")) {
		t.Errorf("Load of nothing: %v, %v", c, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"auths":{"h":{"auth":"dTpw"}},"credsStore":"x"}`), "h")
	f.Add([]byte(`{"auths":{"https://index.docker.io/v1/":{"identitytoken":"x"}}}`), "docker.io")
	f.Fuzz(func(t *testing.T, raw []byte, host string) {
		s, err := parse(raw)
		if err != nil {
			if !errors.Is(err, errs.ErrInvalid) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		if e, ok := lookup(s.Auths, host); ok {
			_, _ = decode(e)
		}
	})
}
