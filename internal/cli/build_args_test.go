package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseBuildArgs(t *testing.T) {
	tests := []struct {
		name    string
		in      []string
		env     lookupFunc
		want    map[string]string
		wantErr string
	}{
		{name: "values", in: []string{"A=1", "B=", "C=x=y", "A=2"}, env: environ(), want: attrs("A=2", "B=", "C=x=y")},
		{name: "from the environment", in: []string{"A", "B"}, env: environ("A=1", "C=2"), want: attrs("A=1")},
		{name: "epoch comes unasked", env: environ("SOURCE_DATE_EPOCH=17"), want: attrs("SOURCE_DATE_EPOCH=17")},
		{name: "epoch can be taken back", in: []string{"SOURCE_DATE_EPOCH="}, env: environ("SOURCE_DATE_EPOCH=17"), want: attrs("SOURCE_DATE_EPOCH=")},
		{name: "no name", in: []string{"=x"}, env: environ(), wantErr: "name is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseBuildArgs(tt.in, tt.env)
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

func TestParseLabels(t *testing.T) {
	got, err := parseLabels([]string{"a=1", "b", "c=x=y", "a=2"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(attrs("a=2", "b=", "c=x=y"), got); diff != "" {
		t.Error(diff)
	}
	_, err = parseLabels([]string{"=x"})
	checkErr(t, err, "key is missing")
}

func TestParseAnnotations(t *testing.T) {
	for _, s := range []string{"a=b", "index,manifest:a=b", "manifest[linux/amd64]:a=b", "a="} {
		_, err := parseAnnotations([]string{s})
		checkErr(t, err, "")
	}
	for _, s := range []string{"a", "", "=b", "index:=b"} {
		_, err := parseAnnotations([]string{s})
		checkErr(t, err, "invalid")
	}
}

func TestParseBuildPlatforms(t *testing.T) {
	tests := []struct {
		name    string
		in      []string
		env     lookupFunc
		want    []string
		wantErr string
	}{
		{name: "none", env: environ()},
		{name: "lists", in: []string{"linux/amd64, linux/arm64", "linux/arm/v7"}, env: environ(), want: []string{"linux/amd64", "linux/arm64", "linux/arm/v7"}},
		{name: "other spellings", in: []string{"linux/x86_64,linux/aarch64,linux/amd64"}, env: environ(), want: []string{"linux/amd64", "linux/arm64"}},
		{name: "local", in: []string{"local"}, env: environ(), want: []string{"local"}},
		{name: "environment", env: environ("DOCKER_DEFAULT_PLATFORM=linux/arm64"), want: []string{"linux/arm64"}},
		{name: "flag wins", in: []string{"linux/amd64"}, env: environ("DOCKER_DEFAULT_PLATFORM=linux/arm64"), want: []string{"linux/amd64"}},
		{name: "nonsense", in: []string{"lin ux/!"}, env: environ(), wantErr: "invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseBuildPlatforms(tt.in, tt.env)
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

func TestParseBuildContexts(t *testing.T) {
	dir := t.TempDir()
	got, err := parseBuildContexts([]string{
		"src=" + dir, "alpine:latest=docker-image://alpine:3", "docker.io/library/debian=docker-image://x",
		"repo=https://example.com/a.git#main", "scp=git@example.com:a/b", "layout=oci-layout://dir:tag",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"src": dir, "alpine": "docker-image://alpine:3", "debian": "docker-image://x",
		"repo": "https://example.com/a.git#main", "scp": "git@example.com:a/b", "layout": "oci-layout://dir:tag",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for in, wantErr := range map[string]string{
		"src": "NAME=PATH", "=x": "NAME=PATH", "src=": "NAME=PATH", "UPPER=" + dir: "name", "src=" + dir + "/none": "no such file",
		"src=-": "standard input", "src=target:base": "bake", "src=/dev/null": "not a directory",
	} {
		_, err := parseBuildContexts([]string{in})
		checkErr(t, err, wantErr)
	}
}

func TestParseAllow(t *testing.T) {
	got, err := parseAllow([]string{"network.host,security.insecure", "buildx.local.delete"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"network.host", "security.insecure"}, got); diff != "" {
		t.Error(diff)
	}
	for in, wantErr := range map[string]string{"root": "invalid", "device": "unsupported", "device=vendor.com/gpu": "unsupported"} {
		_, err := parseAllow([]string{in})
		checkErr(t, err, wantErr)
	}
}

func TestParseBuildNetwork(t *testing.T) {
	for in, want := range map[string]string{"": "", "default": "", "bridge": "", "none": "none", "host": "host"} {
		got, err := parseBuildNetwork(in)
		if got != want || err != nil {
			t.Errorf("parseBuildNetwork(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	_, err := parseBuildNetwork("my-net")
	checkErr(t, err, "unsupported")
}

func TestCheckTags(t *testing.T) {
	if err := checkTags([]string{"app", "host:5000/a/b:1.2", "docker.io/library/app:x"}); err != nil {
		t.Error(err)
	}
	hex := "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for in, wantErr := range map[string]string{
		"App": "must be lowercase", "a b": "invalid reference format", "": "invalid reference format",
		"app@sha256:" + hex: "digest", hex: "hexadecimal", "scratch": "reserved", "scratch:1": "reserved",
	} {
		checkErr(t, checkTags([]string{in}), wantErr)
	}
}

func TestParseCall(t *testing.T) {
	tests := []struct {
		in      string
		check   bool
		want    call
		wantErr string
	}{
		{in: "", want: call{}},
		{in: "build", want: call{}},
		{in: "build", check: true, want: call{name: "check"}},
		{in: "check", check: true, want: call{name: "check"}},
		{in: "lint", want: call{name: "check"}},
		{in: "outline,format=json", want: call{name: "outline", opts: []string{"format=json"}}},
		{in: "check,ignorestatus=true", want: call{name: "check", ignoreStatus: true}},
		{in: "subrequests.describe", want: call{name: "subrequests.describe"}},
		{in: "outline", check: true, wantErr: "exclude each other"},
		{in: "explain", wantErr: "invalid"},
		{in: "outline,format=xml", wantErr: "json or text"},
		{in: "outline,color=true", wantErr: `option "color=true"`},
		{in: "check,ignorestatus=maybe", wantErr: "ignorestatus"},
		{in: `"check`, wantErr: "invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := parseCall(tt.in, tt.check)
			checkErr(t, err, tt.wantErr)
			if tt.wantErr != "" {
				return
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(call{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLaterFlags(t *testing.T) {
	for name, l := range map[string]laterFlags{
		"nothing": {}, "off": {provenance: "false", sbom: "0"}, "disabled": {attest: []string{"type=sbom,disabled=true"}, provenance: "mode=max,disabled=true"},
	} {
		if err := l.check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for want, l := range map[string]laterFlags{
		"--cache-from": {cacheFrom: []string{"x"}}, "--cache-to": {cacheTo: []string{"type=inline"}},
		"--provenance": {provenance: "true"}, "--sbom": {sbom: "true"}, "--policy": {policy: []string{"x"}},
		"--attest": {attest: []string{"type=sbom,disabled=true", "type=provenance"}},
	} {
		err := l.check()
		checkErr(t, err, want)
		checkErr(t, err, "later release")
	}
}

func TestIgnoredFlags(t *testing.T) {
	fine := ignoredFlags{rm: true, forceRm: true, compress: true, disableTrust: true, builder: "any"}
	if err := fine.check(); err != nil {
		t.Error(err)
	}
	for want, i := range map[string]ignoredFlags{
		"--squash":       {squash: true, disableTrust: true},
		"--security-opt": {securityOpts: []string{"seccomp=unconfined"}, disableTrust: true}, "--disable-content-trust": {},
	} {
		checkErr(t, i.check(), want)
	}
}
