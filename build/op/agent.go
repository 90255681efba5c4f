package op

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/mica-build/mica/layer"
)

// agentProxy is a socket of our own, with the owner and mode the step asked
// for, whose questions go on to the user's agent.
type agentProxy struct {
	path string
	l    net.Listener
	mu   sync.Mutex
	open map[net.Conn]bool
	wg   sync.WaitGroup
}

func forwardAgent(sock, dir string, mode os.FileMode, uid, gid int) (*agentProxy, error) {
	p := &agentProxy{path: filepath.Join(dir, "agent"), open: map[net.Conn]bool{}}
	l, err := net.Listen("unix", p.path)
	if err != nil {
		return nil, err
	}
	p.l = l
	if err := os.Chown(p.path, uid, gid); err != nil && !layer.SingleID() {
		l.Close()
		return nil, err
	}
	if err := os.Chmod(p.path, mode); err != nil {
		l.Close()
		return nil, err
	}
	p.wg.Add(1)
	go p.serve(sock)
	return p, nil
}

func (p *agentProxy) serve(sock string) {
	defer p.wg.Done()
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("unix", sock)
		if err != nil {
			c.Close()
			continue
		}
		if !p.track(c, up) {
			return
		}
		p.wg.Add(1)
		go p.answer(c, up)
	}
}

func (p *agentProxy) track(cs ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range cs {
		if p.open == nil {
			c.Close()
			continue
		}
		p.open[c] = true
	}
	return p.open != nil
}

// answer serves one connection until the step or the agent ends it.
func (p *agentProxy) answer(c, up net.Conn) {
	defer p.wg.Done()
	agent.ServeAgent(readOnlyAgent{agent.NewClient(up)}, c)
	c.Close()
	up.Close()
	p.mu.Lock()
	delete(p.open, c)
	delete(p.open, up)
	p.mu.Unlock()
}

// readOnlyAgent lists and signs. A build step is not the user: it cannot change
// what the agent holds, nor use what else it can do.
type readOnlyAgent struct{ agent.ExtendedAgent }

var errReadOnly = errors.New("a build step cannot change the agent")

// Add implements agent.Agent.
func (readOnlyAgent) Add(agent.AddedKey) error { return errReadOnly }

// Remove implements agent.Agent.
func (readOnlyAgent) Remove(ssh.PublicKey) error { return errReadOnly }

// RemoveAll implements agent.Agent.
func (readOnlyAgent) RemoveAll() error { return errReadOnly }

// Lock implements agent.Agent.
func (readOnlyAgent) Lock([]byte) error { return errReadOnly }

// Unlock implements agent.Agent.
func (readOnlyAgent) Unlock([]byte) error { return errReadOnly }

// Extension implements agent.ExtendedAgent.
func (readOnlyAgent) Extension(string, []byte) ([]byte, error) { return nil, errReadOnly }

// Close ends the proxy and every connection.
func (p *agentProxy) Close() error {
	err := p.l.Close()
	p.mu.Lock()
	for c := range p.open {
		c.Close()
	}
	p.open = nil
	p.mu.Unlock()
	p.wg.Wait()
	return err
}
