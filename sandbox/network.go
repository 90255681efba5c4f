//go:build linux

package sandbox

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox/network"
)

// bridge is the Runner's way to the bridge network, made when first used.
type bridge struct {
	once sync.Once
	b    network.Bridge
}

func (r *Runner) network() *network.Bridge {
	r.bridge.once.Do(func() {
		r.bridge.b.StateDir = r.StateDir
		r.bridge.b.Log = r.Log
	})
	return &r.bridge.b
}

// Close frees what the Runner keeps for its next sandboxes, which the end of
// the program does too. The Runner may still be used.
func (r *Runner) Close() error {
	return errors.Join(r.network().Close(), r.user.Close(), r.cgroups.Close(), r.exe.close())
}

// capNetAdmin lets a process change its network namespace.
const capNetAdmin = 1 << unix.CAP_NET_ADMIN

// fillNetwork chooses the network namespace and writes the files that tell the
// process about the network.
func (l *launch) fillNetwork() error {
	conf, gateway, own := hostResolv(), "", ""
	switch {
	case l.s.Network == None:
		l.attr.Sys.Cloneflags |= unix.CLONE_NEWNET
		l.config.Net.Private = true
	case l.s.Network == Host:
		gateway = "127.0.0.1"
	case l.userns && l.s.Link != nil:
		return fmt.Errorf("a network of one's own: %w without root: nobody else may make a bridge", errs.ErrUnsupported)
	case l.userns:
		conf, gateway = l.userNetwork(conf)
	default:
		ns, err := l.bridge()
		if err != nil {
			return err
		}
		l.p.addr = ns.Addr
		gateway, own = ns.Gateway.String(), ns.Addr.Addr().String()
		conf = withServers(conf, ns.Resolv.Servers)
	}
	if len(l.s.DNS) > 0 {
		conf = withServers(conf, l.s.DNS)
	}
	l.config.Resolv = withSearch(conf, l.s.DNSSearch, l.s.DNSOptions)
	var err error
	l.config.Hosts, err = l.s.hostsFile(gateway, own)
	return err
}

// userNetwork gets a network without privileges, or keeps the host's.
func (l *launch) userNetwork(conf []byte) (resolv []byte, gateway string) {
	if l.r.Rootless {
		return conf, "127.0.0.1"
	}
	ns, err := l.r.user.Get(l.p.ctx)
	if err != nil {
		l.notice("the network is the host's: " + strings.ReplaceAll(err.Error(), "\n", "; "))
		return conf, "127.0.0.1"
	}
	reuse := l.config.Caps&capNetAdmin == 0
	l.later(func() error { l.r.user.Put(ns, reuse); return nil })
	l.netns = ns.File
	if onlyLoopback(conf) {
		conf = withServers(conf, []string{ns.DNS.String()})
	}
	return conf, ""
}

// onlyLoopback says that all name servers of a resolv.conf are on the host itself.
func onlyLoopback(conf []byte) bool {
	for line := range strings.Lines(string(conf)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil && !a.IsLoopback() {
			return false
		}
	}
	return true
}

// bridge gets a network namespace for the process. Another may use it later,
// unless this one could change it.
func (l *launch) bridge() (*network.Namespace, error) {
	b := l.r.network()
	if l.s.Link != nil {
		b = l.s.Link
	}
	ns, err := b.GetAt(l.s.Address)
	if err != nil {
		return nil, err
	}
	reuse := l.config.Caps&capNetAdmin == 0 && l.s.Link == nil
	l.later(func() error { return b.Put(ns, reuse) })
	fd, err := unix.FcntlInt(ns.File.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	l.config.Net.NS = l.addFile(os.NewFile(uintptr(fd), "netns"))
	return ns, nil
}
