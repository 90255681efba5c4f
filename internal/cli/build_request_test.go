package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"
	"github.com/spf13/pflag"

	"github.com/mica-build/mica/build"
	"github.com/mica-build/mica/internal/ui/progress"
)

// planOf reads a command line of `mica build`, its context last.
func planOf(t *testing.T, a *app, args ...string) (*buildPlan, error) {
	t.Helper()
	var o buildOptions
	f := pflag.NewFlagSet("build", pflag.ContinueOnError)
	o.addTo(f)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o.plan(a, f.Arg(0))
}

// testApp is an app with a docker config of its own and an environment that
// says nothing.
func testApp(t *testing.T) *app {
	t.Helper()
	for _, key := range []string{"SOURCE_DATE_EPOCH", "DOCKER_DEFAULT_PLATFORM", "BUILDKIT_PROGRESS", "BUILDX_METADATA_WARNINGS"} {
		t.Setenv(key, "")
	}
	return &app{stdin: strings.NewReader(""), stdout: new(bytes.Buffer), stderr: new(bytes.Buffer), configDir: t.TempDir()}
}

func TestPlan(t *testing.T) {
	a := testApp(t)
	p, err := planOf(t, a, "-t", "app", "-t", "app:2", "--build-arg", "A=1", "--target=final", "--network=host", "--allow=security.insecure",
		"--no-cache-filter=a,b", "--add-host=db:10.0.0.1", "--add-host=v6=[::1]", "-m", "64m", "--memory-swap=-1", "--cpus=1.5", "--shm-size=1g",
		"--ulimit", "nofile=10:20", "--ulimit", "nofile=30", "--label", "x=y", "--pull", "--reproducible", "-f", "x/Dockerfile", "ctx")
	if err != nil {
		t.Fatal(err)
	}
	want := &build.Request{
		Context: "ctx", Dockerfile: "x/Dockerfile",
		Tags: []string{"app", "app:2"}, Target: "final", BuildArgs: attrs("A=1"), Labels: attrs("x=y"),
		NoCacheFilter: []string{"a", "b"}, Pull: true, Reproducible: true,
		Network: "host", Allow: []string{"security.insecure", "network.host"},
		AddHosts: []string{"db=10.0.0.1", "v6=::1"}, ShmSize: 1 << 30, Ulimits: []string{"nofile=30:30"},
		Resources: build.Resources{Memory: 64 << 20, MemorySwap: -1, CPUPeriod: 100000, CPUQuota: 150000},
	}
	if diff := cmp.Diff(want, p.request, cmpopts.IgnoreFields(build.Request{}, "Stdin", "Stdout")); diff != "" {
		t.Error(diff)
	}
}

func TestPlanProxiesAndEpoch(t *testing.T) {
	a := testApp(t)
	t.Setenv("SOURCE_DATE_EPOCH", "17")
	config := `{"proxies":{"default":{"httpProxy":"http://p","noProxy":"local"},"tcp://other":{"ftpProxy":"x"}}}`
	if err := os.WriteFile(filepath.Join(a.configDir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := planOf(t, a, "--build-arg", "http_proxy=mine", ".")
	if err != nil {
		t.Fatal(err)
	}
	want := attrs("SOURCE_DATE_EPOCH=17", "HTTP_PROXY=http://p", "http_proxy=mine", "NO_PROXY=local", "no_proxy=local")
	if diff := cmp.Diff(want, p.request.BuildArgs); diff != "" {
		t.Error(diff)
	}
	if p.request.SourceDateEpoch != "17" {
		t.Errorf("epoch %q", p.request.SourceDateEpoch)
	}
}

func TestBrokenDockerConfigIsAWarning(t *testing.T) {
	a := testApp(t)
	if err := os.WriteFile(filepath.Join(a.configDir, "config.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := planOf(t, a, "."); err != nil {
		t.Error(err)
	}
	if out := a.stderr.(*bytes.Buffer).String(); !strings.Contains(out, "WARNING: read ") {
		t.Errorf("warned %q", out)
	}
}

func TestPlanCallMakesNothing(t *testing.T) {
	p, err := planOf(t, testApp(t), "--check", "--push", "-o", "out", ".")
	if err != nil {
		t.Fatal(err)
	}
	if p.request.Call != "check" || len(p.request.Outputs) != 0 {
		t.Errorf("call %q, outputs %v", p.request.Call, p.request.Outputs)
	}
}

func TestProgressMode(t *testing.T) {
	tests := []struct {
		name    string
		o       buildOptions
		env     string
		want    progress.Mode
		wantErr string
	}{
		{name: "default", want: progress.Auto},
		{name: "flag", o: buildOptions{progress: "plain"}, env: "tty", want: progress.Plain},
		{name: "environment", env: "rawjson", want: progress.RawJSON},
		{name: "quiet", o: buildOptions{quiet: true}, want: progress.Quiet},
		{name: "quiet over environment", o: buildOptions{quiet: true}, env: "plain", want: progress.Quiet},
		{name: "quiet twice", o: buildOptions{quiet: true, progress: "quiet"}, want: progress.Quiet},
		{name: "quiet and plain", o: buildOptions{quiet: true, progress: "plain"}, wantErr: "exclude each other"},
		{name: "nonsense", o: buildOptions{progress: "fancy"}, wantErr: "invalid"},
		{name: "nonsense in the environment", env: "fancy", wantErr: "invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("BUILDKIT_PROGRESS", tt.env)
			got, err := tt.o.progressMode()
			checkErr(t, err, tt.wantErr)
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRecord(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("BUILDX_METADATA_WARNINGS", "1")
	id := digest.FromString("config")
	res := &build.Result{
		ImageID: id, Digest: digest.FromString("manifest"),
		Warnings: []client.VertexWarning{{Short: []byte("w")}}, Metadata: map[string]any{"image.name": "a,b"},
	}
	p := &buildPlan{mode: progress.Quiet, iidFile: filepath.Join(dir, "iid"), metadataFile: filepath.Join(dir, "meta")}
	var out bytes.Buffer
	if err := p.record(&out, res); err != nil {
		t.Fatal(err)
	}
	if out.String() != id.String()+"\n" {
		t.Errorf("printed %q", &out)
	}
	if got, err := os.ReadFile(p.iidFile); err != nil || string(got) != id.String() {
		t.Errorf("iidfile holds %q, %v", got, err)
	}
	raw, err := os.ReadFile(p.metadataFile)
	if err != nil {
		t.Fatal(err)
	}
	var meta map[string]any
	if err := json.Unmarshal(raw, &meta); err != nil {
		t.Fatal(err)
	}
	if ref, _ := meta["buildx.build.ref"].(string); !strings.HasPrefix(ref, "default/default/") {
		t.Errorf("build ref %q", ref)
	}
	if meta["image.name"] != "a,b" {
		t.Errorf("the engine's keys are missing: %s", raw)
	}
	if meta["buildx.build.warnings"] == nil {
		t.Errorf("warnings are missing: %s", raw)
	}
}

func TestForget(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "iid"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	p := &buildPlan{iidFile: file, metadataFile: link}
	if err := p.forget(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(file); !os.IsNotExist(err) {
		t.Errorf("the old file is there: %v", err)
	}
	if _, err := os.Lstat(link); err != nil {
		t.Errorf("what is no file was removed: %v", err)
	}
}
