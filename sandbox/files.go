//go:build linux

package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// defaultHostname is BuildKit's.
const defaultHostname = "buildkitsandbox"

func (s *Spec) hostname() string {
	if s.Hostname == "" {
		return defaultHostname
	}
	return s.Hostname
}

// hostsFile is the sandbox's /etc/hosts. gateway stands for "host-gateway".
func (s *Spec) hostsFile(gateway string) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "127.0.0.1\tlocalhost %s\n::1\tlocalhost ip6-localhost ip6-loopback\n", s.hostname())
	for _, h := range s.ExtraHosts {
		ip := h.IP
		if ip == "host-gateway" {
			ip = gateway
		}
		if ip == "" {
			return nil, fmt.Errorf("host %s: host-gateway needs a network", h.Host)
		}
		fmt.Fprintf(&b, "%s\t%s\n", ip, h.Host)
	}
	return b.Bytes(), nil
}

// hostResolv reads the host's resolv.conf; none is an empty one.
func hostResolv() []byte {
	data, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	return data
}

// withServers puts servers in the place of the nameserver lines of conf.
func withServers(conf []byte, servers []string) []byte {
	var b bytes.Buffer
	for _, s := range servers {
		b.WriteString("nameserver " + s + "\n")
	}
	for line := range strings.Lines(string(conf)) {
		if f := strings.Fields(line); len(f) > 0 && f[0] != "nameserver" && f[0][0] != '#' && f[0][0] != ';' {
			b.WriteString(strings.TrimRight(line, "\n") + "\n")
		}
	}
	return b.Bytes()
}
