package op

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// agentProxy is a socket of our own, with the owner and mode the step asked
// for, whose connections go on to the user's agent.
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
	if err := os.Chown(p.path, uid, gid); err != nil {
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
		p.wg.Add(2)
		go p.pipe(c, up)
		go p.pipe(up, c)
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

func (p *agentProxy) pipe(dst, src net.Conn) {
	defer p.wg.Done()
	io.Copy(dst, src)
	dst.Close()
	src.Close()
	p.mu.Lock()
	delete(p.open, dst)
	delete(p.open, src)
	p.mu.Unlock()
}

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
