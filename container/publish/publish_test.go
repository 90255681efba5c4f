//go:build linux

package publish

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/internal/testenv"
)

// elsewhere is this program again in a network of its own, where it answers everything.
const elsewhere = "MICA_TEST_ELSEWHERE"

func TestMain(m *testing.M) {
	if os.Getenv(elsewhere) == "" {
		os.Exit(m.Run())
	}
	fmt.Println(serve())
}

// serve echoes what comes to 127.0.0.1:7 by TCP and UDP.
func serve() error {
	sock, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	up, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	up.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(sock, unix.SIOCSIFFLAGS, up); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:7")
	if err != nil {
		return err
	}
	u, err := net.ListenPacket("udp", "127.0.0.1:7")
	if err != nil {
		return err
	}
	fmt.Println("ready")
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(buf[:n], from)
		}
	}()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() { _, _ = io.Copy(c, c); c.Close() }()
	}
}

// start runs serve in a network namespace of its own and gives its process.
func start(t *testing.T) int {
	t.Helper()
	testenv.Root(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), elsewhere+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd.Process.Pid
}

func TestPublish(t *testing.T) {
	pid := start(t)
	p, err := Open([]record.Port{
		{Container: 7, Protocol: "tcp", HostIP: "127.0.0.1"},
		{Container: 7, Protocol: "udp", HostIP: "127.0.0.1"},
		{Container: 7, Protocol: "tcp"},
		{Container: 9, Protocol: "tcp", HostIP: "127.0.0.1"},
	}, pid, netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	ports := p.Ports()
	for _, i := range []int{0, 1, 2} {
		echo(t, ports[i])
	}
	if v6 := ports[3]; v6.HostIP == "::" {
		if v6.Host != ports[2].Host {
			t.Errorf("%+v and %+v have different ports", ports[2], v6)
		}
		v6.HostIP = "::1"
		echo(t, v6)
	}
	// Nobody listens there: the connection ends.
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[len(ports)-1].Host))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d, %v", n, err)
	}
	c.Close()
	// A port that is taken is an error, and leaves nothing.
	_, err = Open([]record.Port{{Container: 7, Protocol: "tcp", HostIP: "127.0.0.1"}, ports[0]}, pid, netip.MustParseAddr("127.0.0.1"))
	if err == nil || !strings.Contains(err.Error(), "port is already allocated") {
		t.Error(err)
	}
	held, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Host))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	_ = held.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := held.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection outlived the publication: %v", err)
	}
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Host)); err == nil {
		c.Close()
		t.Error("it is still reachable")
	}
}

// echo sends to a port and wants the same back; a TCP stream ends in both directions.
func echo(t *testing.T, p record.Port) {
	t.Helper()
	host := p.HostIP
	if host == "0.0.0.0" {
		host = "127.0.0.1"
	}
	c, err := net.Dial(p.Protocol, net.JoinHostPort(host, fmt.Sprint(p.Host)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	if p.Protocol == "tcp" {
		_ = c.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(c); err != nil || string(got) != "hello" {
			t.Errorf("%+v: %q, %v", p, got, err)
		}
		return
	}
	buf := make([]byte, 10)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "hello" {
		t.Errorf("%+v: %q, %v", p, buf[:n], err)
	}
}
