package op

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// serveKeys is a user's agent with one RSA key.
func serveKeys(t *testing.T) (sock string, ring agent.ExtendedAgent) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ring = agent.NewKeyring().(agent.ExtendedAgent)
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	sock = filepath.Join(t.TempDir(), "user")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				agent.ServeAgent(ring, c)
			}()
		}
	}()
	return sock, ring
}

// A step lists the keys and signs with them, and can do nothing else.
func TestForwardAgent(t *testing.T) {
	sock, ring := serveKeys(t)
	p, err := forwardAgent(sock, t.TempDir(), 0o620, os.Getuid(), os.Getgid())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if fi, err := os.Stat(p.path); err != nil || fi.Mode().Perm() != 0o620 {
		t.Errorf("socket %v, %v", fi, err)
	}
	c, err := net.Dial("unix", p.path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	step := agent.NewClient(c)
	keys, err := step.List()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	sig, err := step.SignWithFlags(keys[0], []byte("data"), agent.SignatureFlagRsaSha512)
	if err != nil || sig.Format != ssh.KeyAlgoRSASHA512 {
		t.Errorf("signature %v, %v", sig, err)
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"add":        func() error { return step.Add(agent.AddedKey{PrivateKey: other}) },
		"remove":     func() error { return step.Remove(keys[0]) },
		"remove all": step.RemoveAll,
		"lock":       func() error { return step.Lock([]byte("x")) },
		"unlock":     func() error { return step.Unlock([]byte("x")) },
		"extension":  func() error { _, err := step.Extension("session-bind@openssh.com", nil); return err },
	} {
		if err := do(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if left, err := ring.List(); err != nil || len(left) != 1 {
		t.Errorf("the agent holds %v, %v", left, err)
	}
}

// Close ends connections that a step left open.
func TestForwardAgentClose(t *testing.T) {
	sock, _ := serveKeys(t)
	p, err := forwardAgent(sock, t.TempDir(), 0o600, os.Getuid(), os.Getgid())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", p.path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := agent.NewClient(c).List(); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes", n)
	}
}
