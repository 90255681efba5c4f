//go:build linux

package network

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/testenv"
)

func TestNameservers(t *testing.T) {
	got := Nameservers([]byte("# nameserver 1.1.1.1\nnameserver 10.0.0.1\n  nameserver\t::1 # x\nnameserver\nsearch a\n"))
	if want := []string{"10.0.0.1", "::1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := reachable([]string{"127.0.0.53", "::1", "fe80::1%eth0", "fd00::1", "10.0.0.1", "x"}); !slices.Equal(got, []string{"10.0.0.1"}) {
		t.Errorf("reachable: %q", got)
	}
}

func FuzzNameservers(f *testing.F) {
	f.Add([]byte("nameserver 10.0.0.1\nnameserver fe80::1%eth0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, s := range Nameservers(data) {
			if s == "" {
				t.Error("empty server")
			}
		}
	})
}

func TestChooseSubnet(t *testing.T) {
	taken := []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.241.7/32"), netip.MustParsePrefix("10.250.0.0/16")}
	got, err := chooseSubnet(taken)
	if err != nil || got != netip.MustParsePrefix("10.255.240.0/20") {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := chooseSubnet([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/1"), netip.MustParsePrefix("128.0.0.0/1")}); err == nil {
		t.Error("no error where nothing is free")
	}
}

func TestNth(t *testing.T) {
	p := netip.MustParsePrefix("172.29.240.1/20")
	if got := nth(p, 300).String(); got != "172.29.241.44" {
		t.Errorf("got %s", got)
	}
}

// echo is a name server that answers with the question, and counts.
func echo(t *testing.T) string {
	t.Helper()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp4", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close(); udp.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			udp.WriteTo(append([]byte("udp:"), buf[:n]...), from)
		}
	}()
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				q, err := readMessage(c)
				if err == nil {
					writeMessage(c, append([]byte("tcp:"), q...))
				}
			}()
		}
	}()
	return tcp.Addr().String()
}

func TestForwarder(t *testing.T) {
	dead, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := dead.Addr().String()
	dead.Close()
	f := &Forwarder{Upstream: []string{gone, echo(t)}}
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.Serve(udp, tcp)
	for network, addr := range map[string]string{"udp": udp.LocalAddr().String(), "tcp": tcp.Addr().String()} {
		c, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			answer, err := exchange(c, network, []byte("question"))
			if err != nil || string(answer) != network+":question" {
				t.Errorf("%s: got %q, %v", network, answer, err)
			}
		}
		if network == "udp" {
			c.Close()
		}
	}
	start := time.Now()
	if err := f.Close(); err != nil || time.Since(start) > 2*time.Second {
		t.Errorf("close took %v: %v", time.Since(start), err)
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte{0, 3, 'a', 'b', 'c'})
	f.Add([]byte{0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		msg, err := readMessage(bytes.NewReader(data))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := writeMessage(&out, msg); err != nil || !bytes.HasPrefix(data, out.Bytes()) {
			t.Errorf("%x does not come back: %x, %v", data, out.Bytes(), err)
		}
		io.Discard.Write(msg)
	})
}

// TestBridge gets namespaces and looks that they are what they say.
func TestBridge(t *testing.T) {
	testenv.Root(t)
	b := &Bridge{StateDir: t.TempDir()}
	one, err := b.Get()
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.Get()
	if err != nil {
		t.Fatal(err)
	}
	if one.Addr == two.Addr || !one.Addr.Contains(one.Gateway) {
		t.Errorf("addresses %v and %v, gateway %v", one.Addr, two.Addr, one.Gateway)
	}
	if err := b.Put(one, true); err != nil {
		t.Error(err)
	}
	if err := b.Put(two, false); err != nil {
		t.Error(err)
	}
	again, err := b.Get()
	if err != nil {
		t.Fatal(err)
	}
	if again != one {
		t.Error("the namespace that was put back is not used again")
	}
	if err := b.Put(again, true); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil || len(b.idle) != 0 {
		t.Errorf("close: %v, %d still wait", err, len(b.idle))
	}
}

// TestLocalDNS asks inside a namespace what only the host can answer.
func TestLocalDNS(t *testing.T) {
	testenv.Root(t)
	b := &Bridge{StateDir: t.TempDir()}
	if err := b.Ensure(); err != nil {
		t.Fatal(err)
	}
	ns, err := b.newNamespace(Resolv{Servers: []string{LocalDNS}, Upstream: []string{echo(t)}}, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	answers := make(chan string, 2)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		defer close(answers)
		if err := unix.Setns(int(ns.File.Fd()), unix.CLONE_NEWNET); err != nil {
			answers <- err.Error()
			return
		}
		for _, network := range []string{"udp4", "tcp4"} {
			fd, err := dialHere(network)
			if err != nil {
				answers <- err.Error()
				continue
			}
			answer, err := exchange(fd, network[:3], []byte("who"))
			fd.Close()
			if err != nil {
				answer = []byte(err.Error())
			}
			answers <- string(answer)
		}
	}()
	var got []string
	for a := range answers {
		got = append(got, a)
	}
	if want := []string{"udp:who", "tcp:who"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// dialHere connects on this thread: net.Dial may do so on another.
func dialHere(network string) (net.Conn, error) {
	kind := map[string]int{"udp4": unix.SOCK_DGRAM, "tcp4": unix.SOCK_STREAM}[network]
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), network)
	defer f.Close()
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 53, Addr: netip.MustParseAddr(LocalDNS).As4()}); err != nil {
		return nil, err
	}
	return net.FileConn(f)
}

// TestFirewall: where FORWARD drops by default, as docker sets it, the bridge's
// traffic is let through, once.
func TestFirewall(t *testing.T) {
	testenv.Root(t)
	if _, err := exec.LookPath("iptables"); err != nil {
		t.Skip("needs iptables")
	}
	type answer struct {
		rules string
		err   error
	}
	done := make(chan answer)
	go func() {
		runtime.LockOSThread() // for good, as above
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- answer{err: err}
			return
		}
		for _, chain := range []string{"", "DOCKER-USER"} {
			if chain != "" {
				exec.Command("iptables", "-N", chain).Run()
			}
			if out, err := exec.Command("iptables", "-P", "FORWARD", "DROP").CombinedOutput(); err != nil {
				done <- answer{err: fmt.Errorf("%w: %s", err, out)}
				return
			}
			err := errors.Join(acceptForwarding(Name), acceptForwarding(Name))
			rules, _ := exec.Command("iptables", "-S").Output()
			done <- answer{string(rules), err}
		}
	}()
	for _, chain := range []string{"FORWARD", "DOCKER-USER"} {
		a := <-done
		if a.err != nil {
			t.Fatal(a.err)
		}
		if n := strings.Count(a.rules, "-A "+chain+" -i mica0 -j ACCEPT"); n != 1 {
			t.Errorf("%d rules in %s, want 1:\n%s", n, chain, a.rules)
		}
	}
}

// TestOwnBridge makes a bridge of one's own: names are answered, an address can be chosen,
// and the shared bridge's namespaces cannot be reached from it.
func TestOwnBridge(t *testing.T) {
	testenv.Root(t)
	free, err := FreeSubnet(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := nth(free, 77)
	b := &Bridge{
		StateDir: t.TempDir(), Link: OwnPrefix + "test01", Subnet: free,
		Lookup: func(name string) []netip.Addr {
			if name == "web" {
				return []netip.Addr{want}
			}
			return nil
		},
	}
	t.Cleanup(func() {
		if err := errors.Join(b.Close(), b.Remove(), b.Remove()); err != nil {
			t.Error(err)
		}
	})
	ns, err := b.GetAt(want)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if ns.Addr.Addr() != want || ns.Gateway != free.Addr() || !slices.Equal(ns.Resolv.Servers, []string{LocalDNS}) {
		t.Errorf("%+v", ns)
	}
	if _, err := b.GetAt(want); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("an address twice: %v", err)
	}
	for _, a := range []netip.Addr{free.Addr(), free.Masked().Addr(), netip.MustParseAddr("8.8.8.8")} {
		if _, err := b.GetAt(a); err == nil {
			t.Errorf("address %s was given", a)
		}
	}
	shared := &Bridge{StateDir: t.TempDir()}
	other, err := shared.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(other.Close(), shared.Close()); err != nil {
			t.Error(err)
		}
	}()
	in(t, ns, func() {
		question, err := (&dnsmessage.Message{
			Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
			Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("web."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
		}).Pack()
		if err != nil {
			t.Error(err)
		}
		dns, err := dialHere("udp4")
		if err != nil {
			t.Error(err)
			return
		}
		defer dns.Close()
		raw, err := exchange(dns, "udp", question)
		var m dnsmessage.Message
		if err = errors.Join(err, m.Unpack(raw)); err != nil || m.ID != 7 || len(m.Answers) != 1 {
			t.Errorf("web: %+v, %v", m, err)
		} else if a, ok := m.Answers[0].Body.(*dnsmessage.AResource); !ok || netip.AddrFrom4(a.A) != want {
			t.Errorf("web: %+v", m.Answers)
		}
		c, err := net.DialTimeout("tcp", net.JoinHostPort(other.Addr.Addr().String(), "1"), 300*time.Millisecond)
		if err == nil {
			c.Close()
		}
		if ne := net.Error(nil); !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("the other bridge answered: %v", err)
		}
	})
}

// in calls f on a thread that is in the namespace.
func in(t *testing.T, ns *Namespace, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends
		if err := unix.Setns(int(ns.File.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
