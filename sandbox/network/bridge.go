//go:build linux

package network

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Name is the bridge's name.
const Name = "mica0"

// A Bridge attaches network namespaces to the host's bridge. The zero value is
// ready for use; it may be used concurrently.
type Bridge struct {
	// StateDir holds the lock under which processes set up the bridge; "" is
	// /run/mica.
	StateDir string
	// Log, if not nil, receives what is worth knowing.
	Log *slog.Logger

	mu     sync.Mutex
	index  int          // of the bridge, once it is known to be there
	subnet netip.Prefix // its address with the length of the subnet
	mtu    int
	next   uint32
	idle   []*Namespace
}

// plug gives the namespace an interface eth0 and a place in the subnet. It
// tries numbers until one is free, not in order from the first, since the last
// one used may still be on its way out. outside acts in the host's namespace.
func (b *Bridge) plug(ns *Namespace, outside *netlink.Handle) error {
	b.mu.Lock()
	subnet, mtu := b.subnet, b.mtu
	ns.bridge = b.index
	hosts := uint32(1)<<(32-subnet.Bits()) - 3 // without network, gateway and broadcast
	if b.next == 0 {
		b.next = rand.Uint32N(hosts)
	}
	b.mu.Unlock()
	for range hosts {
		b.mu.Lock()
		b.next++
		n := b.next%hosts + 2
		b.mu.Unlock()
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = "mica"+strconv.FormatUint(uint64(n), 10), mtu
		attrs.MasterIndex, attrs.Flags = ns.bridge, net.FlagUp
		err := outside.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.File.Fd())})
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return fmt.Errorf("add interface %s: %w", attrs.Name, err)
		}
		ns.Addr, ns.Gateway = netip.PrefixFrom(nth(subnet, n), subnet.Bits()), subnet.Addr()
		return nil
	}
	return fmt.Errorf("all addresses of %s are in use", subnet.Masked())
}

func nsHandle(f *os.File) netns.NsHandle { return netns.NsHandle(f.Fd()) }

// Ensure sets up the bridge and its rules unless this Bridge has done so before.
func (b *Bridge) Ensure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.index != 0 && b.stillThere() {
		return nil
	}
	b.index = 0
	unlock, err := b.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := b.setUp(); err != nil {
		return fmt.Errorf("set up bridge %s: %w", Name, err)
	}
	return nil
}

// stillThere says that nobody has removed the bridge meanwhile.
func (b *Bridge) stillThere() bool {
	link, err := netlink.LinkByIndex(b.index)
	return err == nil && link.Attrs().Name == Name
}

// lock keeps other processes from setting up the bridge meanwhile.
func (b *Bridge) lock() (unlock func(), err error) {
	dir := b.StateDir
	if dir == "" {
		dir = "/run/mica"
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "network.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}

func (b *Bridge) setUp() error {
	link, err := b.ensureLink()
	if err != nil {
		return err
	}
	if err := b.ensureAddr(link); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring up: %w", err)
	}
	if err := enableForwarding(); err != nil {
		return err
	}
	if err := ensureRules(b.subnet.Masked()); err != nil {
		return err
	}
	if err := acceptForwarding(); err != nil && b.Log != nil {
		b.Log.Warn("the host's firewall may drop the sandbox's traffic", "error", err)
	}
	b.index, b.mtu = link.Attrs().Index, link.Attrs().MTU
	return nil
}

// ensureLink makes the bridge, with the MTU of the host's way out, so that
// packets are not too large where the host's are not.
func (b *Bridge) ensureLink() (netlink.Link, error) {
	link, err := netlink.LinkByName(Name)
	var missing netlink.LinkNotFoundError
	if !errors.As(err, &missing) {
		return link, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = Name, uplinkMTU()
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("add: %w", err)
	}
	return netlink.LinkByName(Name)
}

// uplinkMTU is the MTU of the interface of the default route.
func uplinkMTU() int {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return 1500
	}
	for _, r := range routes {
		if r.Dst != nil && r.Dst.IP != nil && !r.Dst.IP.IsUnspecified() {
			continue
		}
		if link, err := netlink.LinkByIndex(r.LinkIndex); err == nil {
			return link.Attrs().MTU
		}
	}
	return 1500
}

// ensureAddr reads the bridge's address, or gives it one.
func (b *Bridge) ensureAddr(link netlink.Link) error {
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok {
			ones, _ := a.Mask.Size()
			b.subnet = netip.PrefixFrom(ip, ones)
			return nil
		}
	}
	taken, err := takenPrefixes()
	if err != nil {
		return err
	}
	free, err := chooseSubnet(taken)
	if err != nil {
		return err
	}
	b.subnet = netip.PrefixFrom(nth(free, 1), free.Bits())
	addr, err := netlink.ParseAddr(b.subnet.String())
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("add address %s: %w", b.subnet, err)
	}
	return nil
}

// enableForwarding lets the host route IPv4.
func enableForwarding() error {
	const path = "/proc/sys/net/ipv4/ip_forward"
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if len(data) > 0 && data[0] != '0' {
		return nil
	}
	if err := os.WriteFile(path, []byte("1\n"), 0); err != nil {
		return fmt.Errorf("enable forwarding: %w", err)
	}
	return nil
}
