package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/internal/dockerconfig"
	"github.com/mica-build/mica/sandbox"
)

func TestLimits(t *testing.T) {
	tests := []struct {
		name    string
		in      limitFlags
		want    sandbox.Resources
		wantErr string
	}{
		{name: "none"},
		{name: "memory", in: limitFlags{memory: "64m", memorySwap: "1g"}, want: sandbox.Resources{Memory: 64 << 20, MemorySwap: 1 << 30}},
		{name: "unlimited swap", in: limitFlags{memory: "64m", memorySwap: "-1"}, want: sandbox.Resources{Memory: 64 << 20, MemorySwap: -1}},
		{name: "cpus", in: limitFlags{cpus: "0.5"}, want: sandbox.Resources{CPUPeriod: 100000, CPUQuota: 50000}},
		{name: "few cpus", in: limitFlags{cpus: "0.001"}, want: sandbox.Resources{CPUPeriod: 100000, CPUQuota: 1000}},
		{name: "all cpus", in: limitFlags{cpus: "0"}},
		{name: "quota", in: limitFlags{cpuPeriod: 50000, cpuQuota: 25000, cpuShares: 2}, want: sandbox.Resources{CPUPeriod: 50000, CPUQuota: 25000, CPUShares: 2}},
		{name: "sets", in: limitFlags{cpusetCPUs: "0-3,5", cpusetMems: "0"}, want: sandbox.Resources{CpusetCPUs: "0-3,5", CpusetMems: "0"}},
		{name: "little memory", in: limitFlags{memory: "1m"}, wantErr: "the least is 6m"},
		{name: "negative memory", in: limitFlags{memory: "-1"}, wantErr: "--memory"},
		{name: "no size", in: limitFlags{memory: "lots"}, wantErr: "--memory"},
		{name: "swap alone", in: limitFlags{memorySwap: "1g"}, wantErr: "without --memory"},
		{name: "less swap than memory", in: limitFlags{memory: "1g", memorySwap: "64m"}, wantErr: "--memory-swap"},
		{name: "cpus and quota", in: limitFlags{cpus: "1", cpuQuota: 5}, wantErr: "together"},
		{name: "no number", in: limitFlags{cpus: "two"}, wantErr: "--cpus"},
		{name: "nan", in: limitFlags{cpus: "NaN"}, wantErr: "--cpus"},
		{name: "backwards", in: limitFlags{cpusetCPUs: "3-1"}, wantErr: "--cpuset-cpus"},
		{name: "no set", in: limitFlags{cpusetMems: "0,,1"}, wantErr: "--cpuset-mems"},
		{name: "shm", in: limitFlags{shmSize: "x"}, wantErr: "--shm-size"},
		{name: "ulimit", in: limitFlags{ulimits: []string{"files=1"}}, wantErr: "--ulimit"},
		{name: "soft above hard", in: limitFlags{ulimits: []string{"nofile=2:1"}}, wantErr: "--ulimit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.in.parse()
			checkErr(t, err, tt.wantErr)
			if tt.wantErr == "" && got.resources != tt.want {
				t.Errorf("got %+v, want %+v", got.resources, tt.want)
			}
		})
	}
}

func TestParseAddHost(t *testing.T) {
	for in, want := range map[string]sandbox.HostIP{
		"db:10.0.0.1": {Host: "db", IP: "10.0.0.1"}, "db=10.0.0.1": {Host: "db", IP: "10.0.0.1"},
		"db:::1": {Host: "db", IP: "::1"}, "db=[::1]": {Host: "db", IP: "::1"}, "host.docker.internal:host-gateway": {Host: "host.docker.internal", IP: "host-gateway"},
	} {
		got, err := parseAddHost(in)
		if got != want || err != nil {
			t.Errorf("parseAddHost(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "db", ":1.2.3.4", "db:", "db:not-an-ip", "=1.2.3.4"} {
		_, err := parseAddHost(in)
		checkErr(t, err, "--add-host")
	}
}

func TestRunEnv(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env")
	text := "\ufeff# comment\n\nA=file\n  B=x y # no comment\nFROM_ENV\nNOT_THERE\nEMPTY=\nE=a=b"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy := dockerconfig.Proxy{HTTPProxy: "http://p"}
	got, err := runEnv([]string{file}, []string{"A=flag", "PASSED", "MISSING", "http_proxy="}, proxy, environ("FROM_ENV=1", "PASSED=2"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"HTTP_PROXY=http://p", "A=file", "B=x y # no comment", "FROM_ENV=1", "EMPTY=", "E=a=b", "A=flag", "PASSED=2", "http_proxy="}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, err = runEnv(nil, []string{"=x"}, proxy, environ())
	checkErr(t, err, "name is missing")
}

func TestParseEnvFileErrors(t *testing.T) {
	for in, want := range map[string]string{
		"ok=1\nbad key=2": "line 2", "=x": "name is missing", "A=\xff": "UTF-8",
	} {
		_, err := parseEnvFile([]byte(in), environ())
		checkErr(t, err, want)
	}
}

func FuzzParseEnvFile(f *testing.F) {
	for _, s := range []string{"A=1\nB", "# x\n\n A=", "\ufeffA=1\r\n", "=\n", strings.Repeat("x", 1<<17) + "=1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		vars, err := parseEnvFile(data, environ("B=1"))
		if err != nil {
			return
		}
		for _, kv := range vars {
			if key, _, ok := strings.Cut(kv, "="); !ok || key == "" || strings.Contains(kv, "\n") {
				t.Errorf("variable %q", kv)
			}
		}
	})
}

func TestParseVolumes(t *testing.T) {
	t.Chdir(t.TempDir())
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	mounts, volumes, err := parseVolumes([]string{"/h:/c", "/h:/c/:ro,z", "./sub:/c", "/anonymous", "data:/d:ro,nocopy"})
	if err != nil {
		t.Fatal(err)
	}
	want := []sandbox.Mount{
		{Source: "/h", Target: "/c", Recursive: true},
		{Source: "/h", Target: "/c", ReadOnly: true, Recursive: true},
		{Source: filepath.Join(wd, "sub"), Target: "/c", Recursive: true},
	}
	if diff := cmp.Diff(want, mounts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]record.Volume{{Target: "/anonymous"}, {Name: "data", Target: "/d", ReadOnly: true, NoCopy: true}}, volumes); diff != "" {
		t.Error(diff)
	}
	for in, wantErr := range map[string]string{
		"a b:/c": "invalid characters", "name:c": "absolute", "name:/": "below /", "name:/c:shared": `option "shared"`, "/h:c": "absolute", "/h:/": "below /", "/h:": "absolute", "rel": "absolute", "/h:/c:shared": `option "shared"`,
	} {
		_, _, err := parseVolumes([]string{in})
		checkErr(t, err, wantErr)
	}
}

func TestParseTmpfs(t *testing.T) {
	got, err := parseTmpfs([]string{"/t", "/t/x:size=64m,mode=755,ro,exec,dev,uid=33,nr_inodes=10"})
	if err != nil {
		t.Fatal(err)
	}
	want := []sandbox.Mount{
		{Kind: sandbox.Tmpfs, Target: "/t", Mode: 0o1777, NoExec: true, NoDev: true},
		{
			Kind: sandbox.Tmpfs, Target: "/t/x", Mode: 0o755, Size: 64 << 20, ReadOnly: true,
			Options: []string{"uid=33", "nr_inodes=10"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for in, wantErr := range map[string]string{
		"t": "absolute", "/": "below /", "/t:mode=9": "octal", "/t:size=x": "size", "/t:bogus": `option "bogus"`, "/t:uid=x": "number",
	} {
		_, err := parseTmpfs([]string{in})
		checkErr(t, err, wantErr)
	}
}

func TestParseMounts(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name, in string
		want     sandbox.Mount
		err      string
	}{
		{"bind", "type=bind,source=" + dir + ",target=/v", sandbox.Mount{Source: dir, Target: "/v", Recursive: true}, ""},
		{"short names", "type=bind,src=" + dir + ",dst=/v/,ro", sandbox.Mount{Source: dir, Target: "/v", Recursive: true, ReadOnly: true}, ""},
		{"said to be writable", "type=bind,src=" + dir + ",dst=/v,readonly=false", sandbox.Mount{Source: dir, Target: "/v", Recursive: true}, ""},
		{"alone", "type=bind,src=" + dir + ",destination=/v,bind-recursive=disabled", sandbox.Mount{Source: dir, Target: "/v"}, ""},
		{"tmpfs", "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700", sandbox.Mount{
			Kind: sandbox.Tmpfs, Target: "/t", Size: 1 << 20, Mode: 0o700, NoExec: true, NoDev: true,
		}, ""},
		{"no source", "type=bind,dst=/v", sandbox.Mount{}, "source is missing"},
		{"source that is not there", "type=bind,src=/no/such,dst=/v", sandbox.Mount{}, "bind source path does not exist: /no/such"},
		{"relative source", "type=bind,src=rel,dst=/v", sandbox.Mount{}, "absolute"},
		{"no target", "type=tmpfs", sandbox.Mount{}, "target is missing"},
		{"relative target", "type=tmpfs,dst=t", sandbox.Mount{}, "absolute"},
		{"root", "type=tmpfs,dst=/", sandbox.Mount{}, "below /"},
		{"tmpfs with a source", "type=tmpfs,src=/x,dst=/t", sandbox.Mount{}, "a tmpfs has none"},
		{"option of another type", "type=bind,src=/,dst=/v,tmpfs-size=1m", sandbox.Mount{}, "only a mount of type tmpfs"},
		{"image", "type=image,src=data,dst=/v", sandbox.Mount{}, "type image: unsupported yet"},
		{"unknown type", "type=bogus,dst=/v", sandbox.Mount{}, `type "bogus"`},
		{"unknown key", "type=tmpfs,dst=/v,bogus=1", sandbox.Mount{}, `unexpected key "bogus"`},
		{"no value", "type=tmpfs,dst", sandbox.Mount{}, "key=value"},
		{"bad boolean", "type=bind,src=/,dst=/v,ro=maybe", sandbox.Mount{}, "true or false"},
		{"bad mode", "type=tmpfs,dst=/t,tmpfs-mode=9", sandbox.Mount{}, "octal"},
		{"shared", "type=bind,src=/,dst=/v,bind-propagation=shared", sandbox.Mount{}, "unsupported"},
		{"bad quotes", `type=tmpfs,"dst=/t`, sandbox.Mount{}, "invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := parseMounts([]string{tt.in})
			if tt.err != "" {
				checkErr(t, err, tt.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]sandbox.Mount{tt.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckTargets(t *testing.T) {
	same := []sandbox.Mount{{Source: "/a", Target: "/v"}, {Source: "/a", Target: "/v"}}
	if err := checkTargets(same); err != nil {
		t.Error(err)
	}
	checkErr(t, checkTargets([]sandbox.Mount{{Source: "/a", Target: "/v"}, {Source: "/b", Target: "/v"}}), "duplicate mount point: /v")
	checkErr(t, checkTargets([]sandbox.Mount{{Source: "/a", Target: "/v"}, {Kind: sandbox.Tmpfs, Target: "/v"}}), "duplicate mount point: /v")
}

func TestRunRefuses(t *testing.T) {
	fine := runOptions{rm: true, pull: "missing"}
	if err := fine.check(); err != nil {
		t.Error(err)
	}
	for want, o := range map[string]runOptions{
		"--attach and --detach":  {pull: "missing", containerFlags: containerFlags{detach: true, attachTo: []string{"stdout"}}},
		"--restart and --rm":     {rm: true, pull: "missing", containerFlags: containerFlags{restart: "always"}},
		"invalid container name": {pull: "missing", containerFlags: containerFlags{name: "a b"}}, "--pull": {rm: true, pull: "sometimes"},
	} {
		checkErr(t, o.check(), want)
	}
}
