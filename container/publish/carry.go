//go:build linux

package publish

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

func (p *Publication) serveTCP(l net.Listener, port uint16) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(20 * time.Millisecond) // no descriptors left, say
			continue
		}
		p.served.Go(func() { p.carry(c.(*net.TCPConn), port) })
	}
}

// carry joins a client with the container, each direction until its end.
func (p *Publication) carry(client *net.TCPConn, port uint16) {
	if !p.keep(client) {
		return
	}
	defer p.forget(client)
	c, err := p.dial("tcp", port)
	if err != nil {
		_ = client.SetLinger(0) // refused: reset it, as the container would
		return
	}
	if !p.keep(c) {
		return
	}
	defer p.forget(c)
	server := c.(*net.TCPConn)
	var both sync.WaitGroup
	pipe := func(to, from *net.TCPConn) {
		_, _ = io.Copy(to, from) // splice(2)
		_ = to.CloseWrite()
		_ = from.CloseRead()
	}
	both.Go(func() { pipe(server, client) })
	both.Go(func() { pipe(client, server) })
	both.Wait()
}

// udpIdle is how long a client of UDP keeps its way into the container after the last
// datagram.
const udpIdle = 90 * time.Second

// serveUDP gives each client a socket of its own in the container's network.
func (p *Publication) serveUDP(l net.PacketConn, port uint16) {
	var mu sync.Mutex
	clients := map[string]net.Conn{}
	buf := make([]byte, 64<<10)
	for {
		n, from, err := l.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		key := from.String()
		mu.Lock()
		c := clients[key]
		mu.Unlock()
		if c == nil {
			if c, err = p.dial("udp", port); err != nil || !p.keep(c) {
				continue
			}
			mu.Lock()
			clients[key] = c
			mu.Unlock()
			p.served.Go(func() {
				p.answers(l, c, from)
				mu.Lock()
				delete(clients, key)
				mu.Unlock()
				p.forget(c)
			})
		}
		_ = c.SetReadDeadline(time.Now().Add(udpIdle))
		_, _ = c.Write(buf[:n])
	}
}

// answers carries what comes back.
func (p *Publication) answers(l net.PacketConn, c net.Conn, to net.Addr) {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := l.WriteTo(buf[:n], to); err != nil {
			return
		}
	}
}
