//go:build linux

package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/mica-build/mica/sandbox/internal/inside"
)

// defaultHostname is BuildKit's.
const defaultHostname = "buildkitsandbox"

func (s *Spec) hostname() string {
	if s.Hostname == "" {
		return defaultHostname
	}
	return s.Hostname
}

// containerHosts are the lines that docker's containers have beside their own.
const containerHosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
	"fe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"

// hostsFile is the sandbox's /etc/hosts. gateway stands for "host-gateway"; own
// is the sandbox's address, "" if it has none of its own.
func (s *Spec) hostsFile(gateway, own string) ([]byte, error) {
	var b bytes.Buffer
	switch {
	case !s.Container:
		fmt.Fprintf(&b, "127.0.0.1\tlocalhost %s\n::1\tlocalhost ip6-localhost ip6-loopback\n", s.hostname())
	case s.Network == Host:
		b.Write(hostHosts())
	default:
		b.WriteString(containerHosts)
	}
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
	if s.Container && s.Network != Host {
		if own == "" {
			own = "127.0.0.1"
		}
		if s.Domainname != "" {
			fmt.Fprintf(&b, "%s\t%s.%s %s\n", own, s.hostname(), s.Domainname, s.hostname())
		} else {
			fmt.Fprintf(&b, "%s\t%s\n", own, s.hostname())
		}
	}
	return b.Bytes(), nil
}

// hostHosts is the host's own /etc/hosts, which a container in its network has.
func hostHosts() []byte {
	data, err := os.ReadFile("/etc/hosts")
	if err != nil {
		return []byte(containerHosts)
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(data, '\n')
	}
	return data
}

// fillFiles adds the files that only containers have.
func (l *launch) fillFiles() error {
	if !l.s.Container {
		return nil
	}
	c := &l.config
	c.OwnFiles = !l.s.ReadonlyRoot
	c.Files = append(c.Files, inside.File{Target: "/etc/hostname", Data: []byte(l.s.hostname() + "\n"), Writable: c.OwnFiles})
	return l.stubs.add("/etc/hostname", true, false)
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

// withSearch puts search domains and options in the place of those of conf, where there
// are any.
func withSearch(conf []byte, search, options []string) []byte {
	if len(search) == 0 && len(options) == 0 {
		return conf
	}
	var b bytes.Buffer
	for line := range strings.Lines(string(conf)) {
		f := strings.Fields(line)
		drop := len(f) > 0 && (len(search) > 0 && (f[0] == "search" || f[0] == "domain") || len(options) > 0 && f[0] == "options")
		if !drop {
			b.WriteString(strings.TrimRight(line, "\n") + "\n")
		}
	}
	if len(search) > 0 && search[0] != "." { // "." is none at all
		b.WriteString("search " + strings.Join(search, " ") + "\n")
	}
	if len(options) > 0 {
		b.WriteString("options " + strings.Join(options, " ") + "\n")
	}
	return b.Bytes()
}
