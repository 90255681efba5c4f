//go:build linux

package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mica-build/mica/sandbox/seccomp"
)

// The tests here run the same probe in our sandbox and in runc with docker's
// default configuration, and compare what it says.

// buildProbe puts the probe into a rootfs.
func buildProbe(t testing.TB, dir string) {
	t.Helper()
	c := exec.Command("go", "build", "-o", filepath.Join(dir, "bin/probe"), "./testdata/probe")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build probe: %v\n%s", err, out)
	}
}

// dockerConfig is the OCI configuration that docker build uses.
func dockerConfig(t testing.TB, dir string, args, env []string) *specs.Spec {
	t.Helper()
	caps := capList(defaultCaps)
	profile, err := seccomp.Profile(caps)
	if err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	hosts, err := (&Spec{}).hostsFile("", "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, files, "hosts", string(hosts))
	write(t, files, "resolv.conf", string(hostResolv()))
	bind := func(name string) specs.Mount {
		return specs.Mount{
			Destination: "/etc/" + name, Type: "bind", Source: filepath.Join(files, name),
			Options: []string{"nosuid", "noexec", "nodev", "rbind", "ro"},
		}
	}
	mount := func(dst, kind string, options ...string) specs.Mount {
		return specs.Mount{Destination: dst, Type: kind, Source: kind, Options: options}
	}
	return &specs.Spec{
		Version: "1.0.2", Hostname: defaultHostname,
		Root: &specs.Root{Path: dir},
		Process: &specs.Process{
			Args: args, Env: env, Cwd: "/",
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Permitted: caps, Effective: caps},
		},
		Mounts: []specs.Mount{
			mount("/proc", "proc", "nosuid", "noexec", "nodev"),
			mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
			mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
			mount("/dev/shm", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
			mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev"),
			mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
			bind("resolv.conf"), bind("hosts"),
			mount("/sys/fs/cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev"),
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.MountNamespace}, {Type: specs.NetworkNamespace},
			},
			Resources:     &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}},
			Seccomp:       profile,
			MaskedPaths:   append(append([]string(nil), masked...), throttlePaths()...),
			ReadonlyPaths: readonlyPaths,
		},
	}
}

// runRunc runs config; the test is skipped where there is no runc that works.
func runRunc(t testing.TB, config *specs.Spec) string {
	t.Helper()
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Skip("needs runc: apt-get install runc")
	}
	bundle := t.TempDir()
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, bundle, "config.json", string(data))
	id := fmt.Sprintf("mica-test-%d", os.Getpid())
	var out, errOut bytes.Buffer
	c := exec.Command(runc, "--root", filepath.Join(bundle, "state"), "run", "-b", bundle, id)
	c.Stdout, c.Stderr = &out, &errOut
	if err := c.Run(); err != nil {
		t.Skipf("runc does not work here: %v\n%s", err, errOut.String())
	}
	return out.String()
}

// both runs the probe in runc and in our sandbox.
func both(t *testing.T, what string, user string) (runc, ours string) {
	t.Helper()
	dir := rootfs(t)
	buildProbe(t, dir)
	paths := strings.Join(append(append([]string(nil), masked...), readonlyPaths...), ":")
	args, env := []string{"/bin/probe", what}, []string{"PATH=/bin", "PROBE_PATHS=" + paths}
	config := dockerConfig(t, dir, args, env)
	id, err := lookupUser(openDir(t, dir), user, nil)
	if err != nil {
		t.Fatal(err)
	}
	config.Process.User = specs.User{UID: id.uid, GID: id.gid, AdditionalGids: id.groups}
	runc = runRunc(t, config)
	got := run(t, dir, "", func(s *Spec) { s.Args, s.Env, s.User = args, env, user })
	if got.failure != nil {
		t.Fatalf("our sandbox: %v\n%s", got.failure, got.err)
	}
	return runc, got.out
}

func TestSameAsRunc(t *testing.T) {
	for _, what := range []string{"status", "mounts", "dev", "paths", "open"} {
		t.Run(what, func(t *testing.T) {
			runc, ours := both(t, what, "")
			if d := cmp.Diff(comparable(runc), comparable(ours)); d != "" {
				t.Errorf("runc -, ours +:\n%s", d)
			}
		})
	}
	t.Run("status of a user", func(t *testing.T) {
		runc, ours := both(t, "status", "bob")
		if d := cmp.Diff(comparable(runc), comparable(ours)); d != "" {
			t.Errorf("runc -, ours +:\n%s", d)
		}
	})
}

// comparable leaves out what differs by machine (which cgroup hierarchies there
// are, where the root and the bound files are) and the files that runc leaks.
func comparable(out string) []string {
	var lines []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "/sys/fs/cgroup") || strings.HasPrefix(line, "/ ") || strings.HasPrefix(line, "open files") {
			continue
		}
		if strings.HasPrefix(line, "/etc/") && strings.Contains(line, "propagation") {
			line, _, _ = strings.Cut(line, "propagation")
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// TestSameCallsAsRunc makes every system call in both.
func TestSameCallsAsRunc(t *testing.T) {
	runc, ours := both(t, "calls", "")
	want, got := strings.Split(runc, "\n"), strings.Split(ours, "\n")
	if len(want) != len(got) {
		t.Fatalf("runc gave %d answers, ours %d", len(want), len(got))
	}
	for i := range want {
		nr, _, _ := strings.Cut(want[i], " ")
		n, _ := strconv.Atoi(nr)
		// libseccomp does not know calls that are newer than it; runc then
		// answers ENOSYS, where we follow the profile.
		if n > 448 && strings.HasSuffix(want[i], "ENOSYS") {
			continue
		}
		if want[i] != got[i] {
			t.Errorf("call: runc %s, ours %s", want[i], got[i])
		}
	}
}
