//go:build linux

package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// idleTime is how long a namespace waits for its next use.
const idleTime = 5 * time.Second

// maxIdle is how many do.
const maxIdle = 4

// A Namespace is a network namespace that is connected to the bridge. It lives
// as long as File is open or a process is in it.
type Namespace struct {
	File      *os.File
	Addr      netip.Prefix // of eth0
	Gateway   netip.Addr   // the host
	Resolv    Resolv
	forwarder *Forwarder
	bridge    int // index of the bridge it hangs on
	expiry    *time.Timer
}

// Get gives a namespace for one sandbox: one that has served another, or a new
// one. Making them is slow (the kernel waits for others to be taken down), which
// is why they are kept for a while.
func (b *Bridge) Get() (*Namespace, error) { return b.GetAt(netip.Addr{}) }

// GetAt is Get for a certain address of the subnet; the zero address is any.
func (b *Bridge) GetAt(want netip.Addr) (*Namespace, error) {
	if err := b.Ensure(); err != nil {
		return nil, err
	}
	resolv := Resolver()
	if b.Lookup != nil { // names are answered here
		if len(resolv.Upstream) == 0 {
			for _, s := range resolv.Servers {
				resolv.Upstream = append(resolv.Upstream, net.JoinHostPort(s, "53"))
			}
		}
		resolv.Servers = []string{LocalDNS}
	}
	if !want.IsValid() {
		if ns := b.takeIdle(resolv); ns != nil {
			return ns, nil
		}
	}
	ns, err := b.newNamespace(resolv, want)
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	return ns, nil
}

// Put takes a namespace back in which no process is left. With reuse it may
// serve again; that is for those whose processes could not change it.
func (b *Bridge) Put(ns *Namespace, reuse bool) error {
	b.mu.Lock()
	if !reuse || len(b.idle) >= maxIdle {
		b.mu.Unlock()
		return ns.Close()
	}
	b.idle = append(b.idle, ns)
	ns.expiry = time.AfterFunc(idleTime, func() { b.drop(ns) })
	b.mu.Unlock()
	return nil
}

// Close closes the namespaces that wait. The Bridge may be used again.
func (b *Bridge) Close() error {
	b.mu.Lock()
	idle := b.idle
	b.idle = nil
	b.mu.Unlock()
	var all []error
	for _, ns := range idle {
		ns.expiry.Stop()
		all = append(all, ns.Close())
	}
	return errors.Join(all...)
}

// drop closes ns if it still waits.
func (b *Bridge) drop(ns *Namespace) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, x := range b.idle {
		if x == ns {
			b.idle = append(b.idle[:i], b.idle[i+1:]...)
			ns.Close()
			return
		}
	}
}

// takeIdle finds a waiting namespace on today's bridge with today's resolver.
func (b *Bridge) takeIdle(r Resolv) *Namespace {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, ns := range b.idle {
		if ns.bridge == b.index && ns.Resolv.equal(r) {
			ns.expiry.Stop()
			b.idle = append(b.idle[:i], b.idle[i+1:]...)
			return ns
		}
	}
	return nil
}

// newNamespace works on a thread of its own, which goes into the namespace and
// is not used again if it cannot come back.
func (b *Bridge) newNamespace(r Resolv, want netip.Addr) (*Namespace, error) {
	type result struct {
		ns  *Namespace
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		ns, back, err := b.build(r, want)
		if back {
			runtime.UnlockOSThread()
		}
		done <- result{ns, err}
	}()
	res := <-done
	return res.ns, res.err
}

// build says with back whether the thread is in the host's namespace again.
func (b *Bridge) build(r Resolv, want netip.Addr) (ns *Namespace, back bool, err error) {
	host, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, true, err
	}
	defer host.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, true, fmt.Errorf("unshare: %w", err)
	}
	ns = &Namespace{Resolv: r}
	ns.File, err = os.Open("/proc/thread-self/ns/net")
	if err == nil {
		err = b.fill(ns, host, want)
	}
	if serr := unix.Setns(int(host.Fd()), unix.CLONE_NEWNET); serr != nil {
		err = errors.Join(err, serr)
	} else {
		back = true
	}
	if err != nil && ns.File != nil {
		ns.Close()
		return nil, back, err
	}
	return ns, back, err
}

// fill connects the namespace that the thread is in.
func (b *Bridge) fill(ns *Namespace, host *os.File, want netip.Addr) error {
	outside, err := netlink.NewHandleAt(nsHandle(host))
	if err != nil {
		return err
	}
	defer outside.Close()
	if err := b.plug(ns, outside, want); err != nil {
		return fmt.Errorf("attach to bridge %s: %w", b.link(), err)
	}
	if err := configure(ns, !b.Internal); err != nil {
		return err
	}
	if len(ns.Resolv.Upstream) == 0 && b.Lookup == nil {
		return nil
	}
	return ns.serveDNS(b.Lookup)
}

// configure brings up the interfaces of the namespace that the thread is in.
func configure(ns *Namespace, out bool) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	eth0, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(ns.Addr.String())
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(eth0, addr); err != nil {
		return fmt.Errorf("add address %s: %w", ns.Addr, err)
	}
	if err := netlink.LinkSetUp(eth0); err != nil {
		return fmt.Errorf("bring eth0 up: %w", err)
	}
	if !out {
		return nil
	}
	gw := net.IP(ns.Gateway.AsSlice())
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: gw}); err != nil {
		return fmt.Errorf("add default route: %w", err)
	}
	return nil
}

// serveDNS opens sockets in the namespace that the thread is in and answers
// them from the host's.
func (ns *Namespace) serveDNS(lookup func(string) []netip.Addr) error {
	udp, err := net.ListenPacket("udp4", net.JoinHostPort(LocalDNS, "53"))
	if err != nil {
		return fmt.Errorf("name server: %w", err)
	}
	tcp, err := net.Listen("tcp4", net.JoinHostPort(LocalDNS, "53"))
	if err != nil {
		return fmt.Errorf("name server: %w", errors.Join(err, udp.Close()))
	}
	ns.forwarder = &Forwarder{Upstream: ns.Resolv.Upstream, Lookup: lookup}
	ns.forwarder.Serve(udp, tcp)
	return nil
}

// Close lets the namespace go: the kernel takes it down when no process is in
// it any more, and with it its interface.
func (ns *Namespace) Close() error {
	var err error
	if ns.forwarder != nil {
		err = ns.forwarder.Close()
	}
	return errors.Join(err, ns.File.Close())
}
