//go:build linux

package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Name is the name of the bridge that all share who ask for no other.
const Name = "mica0"

// A Bridge attaches network namespaces to a bridge of the host. The zero value, which is
// the one that all share, is ready for use; it may be used concurrently.
type Bridge struct {
	// Link is the bridge's name, "" for Name. Others begin with OwnPrefix, and what hangs
	// on them can neither reach each other's namespaces nor those of the shared one.
	Link string
	// Subnet is the bridge's address with the length of its subnet; the zero value is
	// one that is free.
	Subnet netip.Prefix
	// Internal leads nowhere: there is neither a default route nor masquerading.
	Internal bool
	// Lookup, if it is not nil, answers what addresses a name has in this network before
	// the host's servers are asked. It may be called concurrently.
	Lookup func(name string) []netip.Addr
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
func (b *Bridge) plug(ns *Namespace, outside *netlink.Handle, want netip.Addr) error {
	b.mu.Lock()
	subnet, mtu := b.subnet, b.mtu
	ns.bridge = b.index
	hosts := uint32(1)<<(32-subnet.Bits()) - 3 // without network, gateway and broadcast
	if b.next == 0 {
		b.next = rand.Uint32N(hosts)
	}
	b.mu.Unlock()
	tries := hosts
	if want.IsValid() {
		tries = 1
	}
	for range tries {
		b.mu.Lock()
		b.next++
		n := b.next%hosts + 2
		b.mu.Unlock()
		if want.IsValid() {
			var err error
			if n, err = b.number(want, hosts); err != nil {
				return err
			}
		}
		addr := nth(subnet, n)
		if addr == subnet.Addr() {
			continue // a gateway that somebody chose
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = b.peerName(n), mtu
		attrs.MasterIndex, attrs.Flags = ns.bridge, net.FlagUp
		err := outside.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.File.Fd())})
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return fmt.Errorf("add interface %s: %w", attrs.Name, err)
		}
		ns.Addr, ns.Gateway = netip.PrefixFrom(addr, subnet.Bits()), subnet.Addr()
		return nil
	}
	if want.IsValid() {
		return fmt.Errorf("address %s is already in use", want)
	}
	return fmt.Errorf("all addresses of %s are in use", subnet.Masked())
}

// number is the place of an address in the subnet.
func (b *Bridge) number(a netip.Addr, hosts uint32) (uint32, error) {
	subnet := b.subnet
	if !subnet.Contains(a) || !a.Is4() {
		return 0, fmt.Errorf("address %s is not in the subnet %s", a, subnet.Masked())
	}
	low := subnet.Masked().Addr().As4()
	at := a.As4()
	n := binary.BigEndian.Uint32(at[:]) - binary.BigEndian.Uint32(low[:])
	if n == 0 || n > hosts+1 || a == subnet.Addr() {
		return 0, fmt.Errorf("address %s of the subnet %s is none for a container", a, subnet.Masked())
	}
	return n, nil
}

// OwnPrefix begins the names of bridges but the shared one, with six characters behind it.
const OwnPrefix = "mica-"

// link is the bridge's name.
func (b *Bridge) link() string {
	if b.Link == "" {
		return Name
	}
	return b.Link
}

// peerName is the name of the host's end of the n-th pair. It is what makes an address
// somebody's, so that it differs from bridge to bridge.
func (b *Bridge) peerName(n uint32) string {
	if b.Link == "" {
		return "mica" + strconv.FormatUint(uint64(n), 10)
	}
	return "m" + strings.TrimPrefix(b.Link, OwnPrefix) + "." + strconv.FormatUint(uint64(n), 36)
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
		return fmt.Errorf("set up bridge %s: %w", b.link(), err)
	}
	return nil
}

// stillThere says that nobody has removed the bridge meanwhile.
func (b *Bridge) stillThere() bool {
	link, err := netlink.LinkByIndex(b.index)
	return err == nil && link.Attrs().Name == b.link()
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
	if err := b.ensureRules(); err != nil {
		return err
	}
	if err := acceptForwarding(b.link()); err != nil && b.Log != nil {
		b.Log.Warn("the host's firewall may drop the sandbox's traffic", "error", err)
	}
	b.index, b.mtu = link.Attrs().Index, link.Attrs().MTU
	return nil
}

// ensureLink makes the bridge, with the MTU of the host's way out, so that
// packets are not too large where the host's are not.
func (b *Bridge) ensureLink() (netlink.Link, error) {
	link, err := netlink.LinkByName(b.link())
	var missing netlink.LinkNotFoundError
	if !errors.As(err, &missing) {
		return link, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = b.link(), uplinkMTU()
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("add: %w", err)
	}
	return netlink.LinkByName(b.link())
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
	if b.subnet = b.Subnet; !b.subnet.IsValid() {
		if b.subnet, err = FreeSubnet(nil); err != nil {
			return err
		}
	}
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

// Remove takes the bridge down, and its rules. What hangs on it is cut off. The shared one
// is not removed.
func (b *Bridge) Remove() error {
	if b.Link == "" {
		return nil
	}
	link, err := netlink.LinkByName(b.Link)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) { // it was never needed, or who asks could not have made it
		if err := b.removeRules(); err != nil && !errors.Is(err, unix.EPERM) {
			return err
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove bridge %s: %w", b.Link, err)
	}
	unlock, err := b.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := netlink.LinkDel(link); err != nil && !errors.As(err, &missing) {
		return fmt.Errorf("remove bridge %s: %w", b.Link, err)
	}
	return b.removeRules()
}
