//go:build linux

package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// candidates are tried in order: private ranges that neither docker, podman nor
// home routers use by default, then more of 10/8.
func candidates() []netip.Prefix {
	var c []netip.Prefix
	for _, s := range []string{"172.29.240.0/20", "172.30.240.0/20", "172.31.240.0/20", "192.168.240.0/20"} {
		c = append(c, netip.MustParsePrefix(s))
	}
	for i := 255; i >= 0; i -= 5 {
		c = append(c, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 240, 0}), 20))
	}
	return c
}

// chooseSubnet gives the first candidate that overlaps nothing taken.
func chooseSubnet(taken []netip.Prefix) (netip.Prefix, error) {
next:
	for _, c := range candidates() {
		for _, t := range taken {
			if c.Overlaps(t) {
				continue next
			}
		}
		return c, nil
	}
	return netip.Prefix{}, errors.New("no private subnet is free on this host")
}

// FreeSubnet chooses a subnet that overlaps no route and no address of the host, and none
// of others. It gives the address that a bridge has in it, with the subnet's length.
func FreeSubnet(others []netip.Prefix) (netip.Prefix, error) {
	taken, err := takenPrefixes()
	if err != nil {
		return netip.Prefix{}, err
	}
	free, err := chooseSubnet(append(taken, others...))
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(nth(free, 1), free.Bits()), nil
}

// takenPrefixes are the host's addresses and routes, but for default routes.
func takenPrefixes() ([]netip.Prefix, error) {
	var taken []netip.Prefix
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst != nil {
			taken = appendNet(taken, *r.Dst)
		}
		if ip, ok := netip.AddrFromSlice(r.Gw.To4()); ok {
			taken = append(taken, netip.PrefixFrom(ip, 32))
		}
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		taken = appendNet(taken, *a.IPNet)
	}
	for _, s := range Nameservers(readResolv("/etc/resolv.conf")) {
		if ip, err := netip.ParseAddr(s); err == nil {
			taken = append(taken, netip.PrefixFrom(ip, ip.BitLen()))
		}
	}
	return taken, nil
}

func appendNet(taken []netip.Prefix, n net.IPNet) []netip.Prefix {
	ip, ok := netip.AddrFromSlice(n.IP.To4())
	ones, _ := n.Mask.Size()
	if !ok || ones == 0 {
		return taken
	}
	return append(taken, netip.PrefixFrom(ip, ones).Masked())
}

// nth is the n-th address of a subnet.
func nth(p netip.Prefix, n uint32) netip.Addr {
	base := p.Masked().Addr().As4()
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(base[:])+n)))
}
