package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/build"
)

// environ is a lookupFunc over "key=value" words.
func environ(words ...string) lookupFunc {
	m := attrs(words...)
	return func(key string) (string, bool) { v, ok := m[key]; return v, ok }
}

func TestParseSecret(t *testing.T) {
	tests := []struct {
		in      string
		want    build.Secret
		wantErr string
	}{
		{in: "id=a", want: build.Secret{ID: "a"}},
		{in: "id=a,src=f", want: build.Secret{ID: "a", File: "f"}},
		{in: "type=file,id=a,source=f", want: build.Secret{ID: "a", File: "f"}},
		{in: "id=a,type=file", want: build.Secret{ID: "a", File: "a"}},
		{in: "id=a,env=V", want: build.Secret{ID: "a", Env: "V"}},
		{in: "id=a,type=env", want: build.Secret{ID: "a", Env: "a"}},
		{in: "id=a,type=env,src=V", want: build.Secret{ID: "a", Env: "V"}},
		{in: `id=a,"src=with, comma"`, want: build.Secret{ID: "a", File: "with, comma"}},
		{in: "src=f", wantErr: "id is missing"},
		{in: "a", wantErr: "not key=value"},
		{in: "id=a,type=vault", wantErr: "file or env"},
		{in: "id=a,path=f", wantErr: `key "path"`},
		{in: "id=a,src=f,env=V", wantErr: "both"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := parseSecret(tt.in)
			checkErr(t, err, tt.wantErr)
			if tt.wantErr == "" && got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestFindSecret(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("token", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("huge", make([]byte, maxSecret+1), 0o600); err != nil {
		t.Fatal(err)
	}
	env := environ("TOKEN=x", "token2=")
	tests := []struct {
		in      string
		want    build.Secret
		wantErr string
	}{
		{in: "id=TOKEN", want: build.Secret{ID: "TOKEN", Env: "TOKEN"}},
		{in: "id=token2", want: build.Secret{ID: "token2", Env: "token2"}},
		{in: "id=token", want: build.Secret{ID: "token", File: "token"}},
		{in: "id=other", wantErr: "secret other: stat other: no such file"},
		{in: "id=a,env=OTHER", wantErr: "variable OTHER: not found"},
		{in: "id=a,src=.", wantErr: "is a directory"},
		{in: "id=a,src=huge", wantErr: "too large"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := parseSecrets([]string{tt.in}, env)
			checkErr(t, err, tt.wantErr)
			if tt.wantErr == "" && got[0] != tt.want {
				t.Errorf("got %+v, want %+v", got[0], tt.want)
			}
		})
	}
}

func TestParseSSH(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	agent := environ("SSH_AUTH_SOCK=/run/agent")
	tests := []struct {
		name    string
		in      []string
		env     lookupFunc
		want    []build.SSH
		wantErr string
	}{
		{name: "agent", in: []string{"default"}, env: agent, want: []build.SSH{{ID: "default"}}},
		{name: "no agent", in: []string{"default"}, env: environ(), wantErr: "SSH_AUTH_SOCK"},
		{name: "keys", in: []string{"id=" + key + "," + key}, env: environ(), want: []build.SSH{{ID: "id", Paths: []string{key, key}}}},
		{name: "missing key", in: []string{"id=" + dir + "/none"}, env: agent, wantErr: "no such file"},
		{name: "twice", in: []string{"default", "default"}, env: agent, wantErr: "twice"},
		{name: "no id", in: []string{"=" + key}, env: agent, wantErr: "invalid"},
		{name: "no path", in: []string{"id="}, env: agent, wantErr: "invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseSSH(tt.in, tt.env)
			checkErr(t, err, tt.wantErr)
			if tt.wantErr != "" {
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParseSecret(f *testing.F) {
	for _, s := range []string{"id=a", "id=a,src=f", "id=a,type=env,src=V", `id=a,"src=x,y"`, ",,", `"id=`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseSecret(s)
		if err == nil && (got.ID == "" || got.File != "" && got.Env != "") {
			t.Errorf("parseSecret(%q) = %+v", s, got)
		}
	})
}
