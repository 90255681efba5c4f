//go:build linux

package sandbox

import (
	"strings"
	"testing"
)

func TestHostsFile(t *testing.T) {
	s := &Spec{ExtraHosts: []HostIP{{"db", "10.0.0.7"}, {"host", "host-gateway"}}}
	got, err := s.hostsFile("172.29.240.1", "172.29.240.2")
	if err != nil {
		t.Fatal(err)
	}
	want := "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.7\tdb\n172.29.240.1\thost\n"
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHostsFileOfContainers(t *testing.T) {
	for _, tt := range []struct {
		name string
		spec Spec
		own  string
		want string // the last line
	}{
		{"own address", Spec{Hostname: "box"}, "172.29.240.2", "172.29.240.2\tbox"},
		{"no network", Spec{Hostname: "box", Network: None}, "", "127.0.0.1\tbox"},
		{"after further hosts", Spec{Hostname: "box", ExtraHosts: []HostIP{{"db", "10.0.0.7"}}}, "10.0.0.1", "10.0.0.1\tbox"},
		{"host's network", Spec{Hostname: "box", Network: Host, ExtraHosts: []HostIP{{"db", "10.0.0.7"}}}, "", "10.0.0.7\tdb"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.Container = true
			got, err := tt.spec.hostsFile("", tt.own)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(string(got), "\n"), "\n")
			if last := lines[len(lines)-1]; last != tt.want {
				t.Errorf("last line %q, want %q", last, tt.want)
			}
		})
	}
}

func TestWithServers(t *testing.T) {
	conf := "# made by hand\nnameserver 127.0.0.53\nsearch example.org\noptions edns0 trust-ad\n\n; end\nnameserver ::1"
	got := string(withServers([]byte(conf), []string{"9.9.9.9", "1.1.1.1"}))
	want := "nameserver 9.9.9.9\nnameserver 1.1.1.1\nsearch example.org\noptions edns0 trust-ad\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
