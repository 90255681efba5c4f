//go:build linux

package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/container/record"
)

// A Publication is ports that are reachable until it is closed.
type Publication struct {
	ports   []record.Port
	closers []func() error
	netns   *os.File
	to      netip.Addr
	served  sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

// Open publishes ports of the process pid, whose own address is to; the zero address is
// one of its interfaces. A port that is taken is an error that names it.
func Open(ports []record.Port, pid int, to netip.Addr) (*Publication, error) {
	ns, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		return nil, fmt.Errorf("publish ports: %w", err)
	}
	p := &Publication{netns: ns, to: to, open: map[net.Conn]bool{}}
	if !to.IsValid() {
		p.to = p.own()
	}
	for _, port := range ports {
		if err := p.add(port); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	return p, nil
}

// Ports are the published ports, one for each address that is listened at.
func (p *Publication) Ports() []record.Port { return p.ports }

// own finds an address of the namespace that is not loopback's.
func (p *Publication) own() netip.Addr {
	found := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	_ = p.inside(func() error {
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			return err
		}
		for _, a := range addrs {
			prefix, err := netip.ParsePrefix(a.String())
			if err == nil && prefix.Addr().Is4() && !prefix.Addr().IsLoopback() {
				found = prefix.Addr()
				return nil
			}
		}
		return nil
	})
	return found
}

// inside calls f on a thread that is in the container's network.
func (p *Publication) inside(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends
		err := unix.Setns(int(p.netns.Fd()), unix.CLONE_NEWNET)
		if err != nil {
			err = fmt.Errorf("enter the container's network: %w", err)
		} else {
			err = f()
		}
		result <- err
	}()
	return <-result
}

// add listens for one port: at the given address, or at all of IPv4 and of IPv6.
func (p *Publication) add(port record.Port) error {
	hosts := []string{port.HostIP}
	if port.HostIP == "" {
		hosts = []string{"0.0.0.0", "::"}
	}
	for i, host := range hosts {
		port.HostIP = host
		n, err := p.listen(port)
		if i > 0 && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
			continue // a machine without IPv6
		}
		if err != nil {
			return fmt.Errorf("publish port %d/%s at %s: %w", port.Container, port.Protocol, net.JoinHostPort(host, strconv.Itoa(int(port.Host))), explain(err))
		}
		port.Host = n // the same for both
		p.ports = append(p.ports, port)
	}
	return nil
}

func explain(err error) error {
	if errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("port is already allocated: %w", err)
	}
	return err
}

// listen starts one listener and gives its port.
func (p *Publication) listen(port record.Port) (uint16, error) {
	addr, network := net.JoinHostPort(port.HostIP, strconv.Itoa(int(port.Host))), port.Protocol+"4"
	if ip, err := netip.ParseAddr(port.HostIP); err == nil && ip.Is6() {
		network = port.Protocol + "6"
	}
	if port.Protocol == "udp" {
		c, err := net.ListenPacket(network, addr)
		if err != nil {
			return 0, err
		}
		p.closers = append(p.closers, c.Close)
		p.served.Go(func() { p.serveUDP(c, port.Container) })
		return uint16(c.LocalAddr().(*net.UDPAddr).Port), nil
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return 0, err
	}
	p.closers = append(p.closers, l.Close)
	p.served.Go(func() { p.serveTCP(l, port.Container) })
	return uint16(l.Addr().(*net.TCPAddr).Port), nil
}

// dial connects to the container's port from inside.
func (p *Publication) dial(network string, port uint16) (c net.Conn, err error) {
	err = p.inside(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		// No resolver and no second address: everything happens on this thread.
		c, err = (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, netip.AddrPortFrom(p.to, port).String())
		return err
	})
	return c, err
}

// keep remembers a connection, to be closed with the publication. It is false when that
// is closed already.
func (p *Publication) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		return false
	}
	p.open[c] = true
	return true
}

func (p *Publication) forget(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// Close ends everything that is reachable through p.
func (p *Publication) Close() error {
	var all []error
	for _, f := range p.closers {
		all = append(all, f())
	}
	p.mu.Lock()
	p.closed = true
	for c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.served.Wait()
	return errors.Join(append(all, p.netns.Close())...)
}
