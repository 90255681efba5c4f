//go:build linux

package network

import (
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Resolv says how a namespace behind the bridge finds names.
type Resolv struct {
	Servers []string // for its resolv.conf
	// Upstream, when set, are servers (host:port) that only the host reaches:
	// a Forwarder must answer at LocalDNS, which then is the only server.
	Upstream []string
}

func (r Resolv) equal(o Resolv) bool {
	return slices.Equal(r.Servers, o.Servers) && slices.Equal(r.Upstream, o.Upstream)
}

// LocalDNS is where a Forwarder listens inside a namespace.
const LocalDNS = "127.0.0.11"

// Resolver finds the nameservers for a namespace behind the bridge, which has
// IPv4 and its own loopback: the host's, or those that a resolver at the host's
// loopback itself asks, or a Forwarder to what the host uses.
func Resolver() Resolv {
	host := Nameservers(readResolv("/etc/resolv.conf"))
	if servers := reachable(host); len(servers) > 0 {
		return Resolv{Servers: servers}
	}
	if servers := reachable(Nameservers(readResolv("/run/systemd/resolve/resolv.conf"))); len(servers) > 0 {
		return Resolv{Servers: servers}
	}
	if len(host) == 0 {
		host = []string{"127.0.0.1"} // what resolv.conf(5) says of an empty one
	}
	r := Resolv{Servers: []string{LocalDNS}}
	for _, h := range host {
		if ip, err := netip.ParseAddr(h); err == nil {
			r.Upstream = append(r.Upstream, netip.AddrPortFrom(ip, 53).String())
		}
	}
	return r
}

// Nameservers reads the servers of a resolv.conf.
func Nameservers(conf []byte) []string {
	var servers []string
	for line := range strings.Lines(string(conf)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "nameserver" {
			servers = append(servers, f[1])
		}
	}
	return servers
}

// reachable keeps the servers that the namespace can reach.
func reachable(servers []string) []string {
	var out []string
	for _, s := range servers {
		if ip, err := netip.ParseAddr(s); err == nil && ip.Is4() && !ip.IsLoopback() {
			out = append(out, s)
		}
	}
	return out
}

// readResolv reads a file; one that is not there has no servers.
func readResolv(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return data
}
