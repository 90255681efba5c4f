//go:build linux

package network

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsTimeout bounds one question to one server.
const dnsTimeout = 5 * time.Second

// A Forwarder answers DNS questions that arrive on sockets of a namespace by
// asking servers from the host's. It passes messages on as they are.
type Forwarder struct {
	// Upstream are the servers asked, in order, as host:port.
	Upstream []string
	// Lookup, if it is not nil, is asked before them for the addresses of names.
	Lookup func(name string) []netip.Addr

	udp  net.PacketConn
	tcp  net.Listener
	wg   sync.WaitGroup
	mu   sync.Mutex
	open map[net.Conn]struct{}
	done bool
}

// Serve begins to answer on both sockets, until Close.
func (f *Forwarder) Serve(udp net.PacketConn, tcp net.Listener) {
	f.udp, f.tcp, f.open = udp, tcp, make(map[net.Conn]struct{})
	f.wg.Go(f.serveUDP)
	f.wg.Go(f.serveTCP)
}

// Close closes the sockets and waits for what is being answered.
func (f *Forwarder) Close() error {
	f.mu.Lock()
	f.done = true
	for c := range f.open {
		c.Close()
	}
	f.mu.Unlock()
	err := errors.Join(f.udp.Close(), f.tcp.Close())
	f.wg.Wait()
	return err
}

// track registers a connection to be closed by Close; false says it is too late.
func (f *Forwarder) track(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		c.Close()
		return false
	}
	f.open[c] = struct{}{}
	return true
}

func (f *Forwarder) untrack(c net.Conn) {
	c.Close()
	f.mu.Lock()
	delete(f.open, c)
	f.mu.Unlock()
}

func (f *Forwarder) serveUDP() {
	slots := make(chan struct{}, 128) // questions at a time
	for {
		buf := make([]byte, 64<<10)
		n, from, err := f.udp.ReadFrom(buf)
		if err != nil {
			return
		}
		slots <- struct{}{}
		f.wg.Go(func() {
			defer func() { <-slots }()
			if answer := f.ask("udp", buf[:n]); answer != nil {
				f.udp.WriteTo(answer, from)
			}
		})
	}
}

func (f *Forwarder) serveTCP() {
	for {
		c, err := f.tcp.Accept()
		if err != nil {
			return
		}
		if !f.track(c) {
			return
		}
		f.wg.Go(func() {
			defer f.untrack(c)
			f.serveConn(c)
		})
	}
}

// serveConn answers the questions of one connection in their order.
func (f *Forwarder) serveConn(c net.Conn) {
	for {
		c.SetDeadline(time.Now().Add(2 * dnsTimeout))
		question, err := readMessage(c)
		if err != nil {
			return
		}
		answer := f.ask("tcp", question)
		if answer == nil || writeMessage(c, answer) != nil {
			return
		}
	}
}

// own answers a question for a name that Lookup knows; nil if it is none.
func (f *Forwarder) own(question []byte) []byte {
	if f.Lookup == nil {
		return nil
	}
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	if q.Class != dnsmessage.ClassINET || q.Type != dnsmessage.TypeA && q.Type != dnsmessage.TypeAAAA {
		return nil
	}
	addrs := f.Lookup(strings.TrimSuffix(q.Name.String(), "."))
	if len(addrs) == 0 {
		return nil
	}
	out := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: m.RecursionDesired, RecursionAvailable: true, OpCode: m.OpCode},
		Questions: m.Questions,
	}
	for _, a := range addrs {
		h := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 5, Type: q.Type}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	raw, err := out.Pack()
	if err != nil {
		return nil
	}
	return raw
}

// ask asks one server after another; nil when none answers.
func (f *Forwarder) ask(network string, question []byte) []byte {
	if answer := f.own(question); answer != nil {
		return answer
	}
	for _, server := range f.Upstream {
		c, err := net.DialTimeout(network, server, dnsTimeout)
		if err != nil {
			continue
		}
		if !f.track(c) {
			return nil
		}
		answer, err := exchange(c, network, question)
		f.untrack(c)
		if err == nil {
			return answer
		}
	}
	return nil
}

func exchange(c net.Conn, network string, question []byte) ([]byte, error) {
	if err := c.SetDeadline(time.Now().Add(dnsTimeout)); err != nil {
		return nil, err
	}
	if network == "tcp" {
		if err := writeMessage(c, question); err != nil {
			return nil, err
		}
		return readMessage(c)
	}
	if _, err := c.Write(question); err != nil {
		return nil, err
	}
	buf := make([]byte, 64<<10)
	n, err := c.Read(buf)
	return buf[:n], err
}

// readMessage reads a message of DNS over TCP: two bytes of length before it.
func readMessage(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, msg)
	return msg, err
}

func writeMessage(w io.Writer, msg []byte) error {
	if len(msg) > 1<<16-1 {
		return errors.New("message too long")
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
	return err
}
