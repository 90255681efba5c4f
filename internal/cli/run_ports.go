package cli

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
)

// A portRange is the ports from First to Last.
type portRange struct{ First, Last uint16 }

func (r portRange) len() int { return int(r.Last) - int(r.First) + 1 }

// parsePortRange reads "80" or "80-90".
func parsePortRange(s string) (portRange, error) {
	from, to, isRange := strings.Cut(s, "-")
	first, err := strconv.ParseUint(from, 10, 16)
	last := first
	if err == nil && isRange {
		last, err = strconv.ParseUint(to, 10, 16)
	}
	if err != nil || last < first {
		return portRange{}, fmt.Errorf("port %q: %w: it is a number up to 65535, or a range such as 80-90", s, errs.ErrInvalid)
	}
	return portRange{uint16(first), uint16(last)}, nil
}

// splitProtocol reads "80/udp"; tcp is the default.
func splitProtocol(s string) (port, protocol string, err error) {
	port, protocol, _ = strings.Cut(s, "/")
	protocol = strings.ToLower(protocol)
	switch protocol {
	case "":
		protocol = "tcp"
	case "tcp", "udp":
	case "sctp":
		return "", "", fmt.Errorf("protocol sctp: %w: there are tcp and udp", errs.ErrUnsupported)
	default:
		return "", "", fmt.Errorf("protocol %q: %w: it is tcp or udp", protocol, errs.ErrInvalid)
	}
	return port, protocol, nil
}

// exposed lists the ports of the image and of --expose, "80/tcp", sorted.
func exposed(of map[string]struct{}, flags []string) ([]string, error) {
	var out []string
	for p := range of {
		flags = append(flags[:len(flags):len(flags)], p)
	}
	for _, s := range flags {
		port, protocol, err := splitProtocol(s)
		if err != nil {
			return nil, fmt.Errorf("--expose %q: %w", s, err)
		}
		r, err := parsePortRange(port)
		if err != nil {
			return nil, fmt.Errorf("--expose %q: %w", s, err)
		}
		for p := int(r.First); p <= int(r.Last); p++ {
			if name := fmt.Sprintf("%d/%s", p, protocol); !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	slices.SortFunc(out, comparePorts)
	return out, nil
}

func comparePorts(a, b string) int {
	ap, aProtocol, _ := strings.Cut(a, "/")
	bp, bProtocol, _ := strings.Cut(b, "/")
	an, _ := strconv.Atoi(ap)
	bn, _ := strconv.Atoi(bp)
	if an != bn {
		return an - bn
	}
	return strings.Compare(aProtocol, bProtocol)
}

// ports are those of --publish and, with --publish-all, the exposed ones.
func (o *containerFlags) ports(expose []string) ([]record.Port, error) {
	var out []record.Port
	for _, s := range o.publish {
		p, err := parsePublish(s)
		if err != nil {
			return nil, fmt.Errorf("--publish %q: %w", s, err)
		}
		out = append(out, p...)
	}
	if !o.publishAll {
		return out, nil
	}
	for _, e := range expose {
		name, protocol, _ := strings.Cut(e, "/")
		n, _ := strconv.ParseUint(name, 10, 16)
		has := slices.ContainsFunc(out, func(p record.Port) bool { return p.Container == uint16(n) && p.Protocol == protocol })
		if !has {
			out = append(out, record.Port{Container: uint16(n), Protocol: protocol})
		}
	}
	return out, nil
}

// parsePublish reads "[[ip:][host]:]container[/protocol]", ranges included.
func parsePublish(s string) ([]record.Port, error) {
	rest, protocol, err := splitProtocol(s)
	if err != nil {
		return nil, err
	}
	ip := ""
	if strings.HasPrefix(rest, "[") { // IPv6
		var ok bool
		if ip, rest, ok = strings.Cut(rest[1:], "]:"); !ok {
			return nil, fmt.Errorf("%w: it is [ip]:host:container", errs.ErrInvalid)
		}
	} else if strings.Count(rest, ":") == 2 {
		ip, rest, _ = strings.Cut(rest, ":")
	}
	if ip != "" {
		if _, err := netip.ParseAddr(ip); err != nil {
			return nil, fmt.Errorf("%w: %w", errs.ErrInvalid, err)
		}
	}
	host, inside, ok := strings.Cut(rest, ":")
	if !ok {
		host, inside = "", host
	}
	to, err := parsePortRange(inside)
	if err != nil {
		return nil, err
	}
	if host == "" || host == "0" {
		return spread(to, portRange{}, record.Port{HostIP: ip, Protocol: protocol}), nil
	}
	from, err := parsePortRange(host)
	if err != nil {
		return nil, err
	}
	if from.len() != to.len() {
		if to.len() == 1 {
			return nil, fmt.Errorf("a range of ports of the host for one of the container: %w; leave the host's away for any", errs.ErrUnsupported)
		}
		return nil, fmt.Errorf("%w: the ranges have different lengths", errs.ErrInvalid)
	}
	return spread(to, from, record.Port{HostIP: ip, Protocol: protocol}), nil
}

// spread is one port for each of to.
func spread(to, from portRange, p record.Port) []record.Port {
	var out []record.Port
	for i := range to.len() {
		p.Container = to.First + uint16(i)
		if from.First != 0 {
			p.Host = from.First + uint16(i)
		}
		out = append(out, p)
	}
	return out
}

// showPorts is the PORTS column.
func showPorts(c *record.Container) string {
	var out []string
	published := map[string]bool{}
	for _, p := range c.State.Ports {
		published[fmt.Sprintf("%d/%s", p.Container, p.Protocol)] = true
		host := p.HostIP
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		out = append(out, fmt.Sprintf("%s:%d->%d/%s", host, p.Host, p.Container, p.Protocol))
	}
	if !c.State.Up() {
		return ""
	}
	for _, e := range c.Expose {
		if !published[e] {
			out = append(out, e)
		}
	}
	return strings.Join(out, ", ")
}
