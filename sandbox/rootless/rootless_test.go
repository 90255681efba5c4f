//go:build linux

package rootless

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

func TestSubordinate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subuid")
	const text = "alice:100000:65536\nbob:165536:65536\n1000:300000:10\nalice:x:3\nalice:5\n:1:2\nalice:400000:0\n" +
		"alice:99999999999:5\n  alice:500000:7\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		id   int
		want []Range
	}{
		{"alice", 1000, []Range{{100000, 65536}, {300000, 10}, {500000, 7}}},
		{"bob", 2, []Range{{165536, 65536}}},
		{"eve", 3, nil},
	} {
		got, err := Subordinate(file, tt.name, tt.id)
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
	if got, err := Subordinate(file+"-none", "alice", 1000); got != nil || err != nil {
		t.Errorf("without a file: %v, %v", got, err)
	}
}

func FuzzSubordinate(f *testing.F) {
	f.Add("alice:1:2\n")
	f.Add("alice:4294967295:4294967295")
	f.Add(":::\n\x00")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "subuid")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		ranges, err := Subordinate(file, "alice", 1)
		for _, r := range ranges {
			if r.Start < 0 || r.Count <= 0 {
				t.Errorf("range %v, %v", r, err)
			}
		}
	})
}

func TestMapArgs(t *testing.T) {
	got := mapArgs(7, 1000, []Range{{100000, 65536}, {300000, 10}})
	want := strings.Fields("7 0 1000 1 1 100000 65536 65537 300000 10")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDiagnose(t *testing.T) {
	for _, tt := range []struct {
		name      string
		sysctl    map[string]string
		seccomp   string
		container bool
		cause     string
		advice    string
	}{
		{"debian", map[string]string{"kernel/unprivileged_userns_clone": "0"}, "0", false, "kernel.unprivileged_userns_clone is 0", "sysctl -w kernel.unprivileged_userns_clone=1"},
		{"none allowed", map[string]string{"user/max_user_namespaces": "0"}, "0", false, "user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces"},
		{"ubuntu", map[string]string{"kernel/apparmor_restrict_unprivileged_userns": "1", "user/max_user_namespaces": "9"}, "0", false, "apparmor_restrict", "docs/rootless.md"},
		{"docker", nil, "2", true, "seccomp filter of this container", "seccomp=unconfined"},
		{"service", nil, "2", false, "seccomp filter on this process", "RestrictNamespaces"},
		{"container", nil, "0", true, "policy of this container", "docs/ci.md"},
		{"unknown", nil, "0", false, "no setting", "SELinux"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := diagnose(machine{
				sysctl: func(name string) string { return tt.sysctl[name] },
				status: func(string) string { return tt.seccomp }, container: tt.container,
			})
			if !strings.Contains(r.Cause, tt.cause) || !strings.Contains(r.Advice, tt.advice) {
				t.Errorf("got %q, %q; want %q, %q", r.Cause, r.Advice, tt.cause, tt.advice)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	err := explain(unix.EPERM)
	var r *Refusal
	if !errors.As(err, &r) || !errors.Is(err, errs.ErrUnsupported) || !errors.Is(err, unix.EPERM) {
		t.Errorf("%v is no refusal", err)
	}
	if err := explain(unix.ENOMEM); errors.As(err, &r) {
		t.Errorf("want of memory is a refusal: %v", err)
	}
}

func TestPassedOn(t *testing.T) {
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1} {
		if !passedOn(s) {
			t.Errorf("%v is kept", s)
		}
	}
	for _, s := range []unix.Signal{unix.SIGCHLD, unix.SIGURG, unix.SIGWINCH, unix.SIGTSTP} {
		if passedOn(s) {
			t.Errorf("%v is passed on", s)
		}
	}
}

func TestInside(t *testing.T) {
	for value, want := range map[string]Kind{"": "", "single:7": Single, "ranges:7": Ranges, "all:1": All, "nonsense": ""} {
		t.Setenv("MICA_USER_NAMESPACE", value)
		if got := Inside(); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func TestOwnMap(t *testing.T) {
	m, err := ownMap("/proc/self/uid_map")
	if err != nil || len(m) == 0 {
		t.Fatal(m, err)
	}
	if slices.ContainsFunc(m, func(r syscall.SysProcIDMap) bool { return r.ContainerID != r.HostID || r.Size <= 0 }) {
		t.Errorf("not the same users: %v", m)
	}
}
