//go:build linux

package sandbox

import "testing"

func TestHostsFile(t *testing.T) {
	s := &Spec{ExtraHosts: []HostIP{{"db", "10.0.0.7"}, {"host", "host-gateway"}}}
	got, err := s.hostsFile("172.29.240.1")
	if err != nil {
		t.Fatal(err)
	}
	want := "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.7\tdb\n172.29.240.1\thost\n"
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
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
