//go:build linux

package sandbox

import "golang.org/x/sys/unix"

func (l *launch) fillNetwork() (err error) {
	c := &l.config
	if l.s.Network != Host && !l.r.Rootless {
		l.attr.Sys.Cloneflags |= unix.CLONE_NEWNET
		c.Net.Private = true
	}
	c.Resolv = hostResolv()
	c.Hosts, err = l.s.hostsFile("")
	return err
}
func (l *launch) fillCgroup() error { return nil }
