package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/redact"
)

// maxSecret is the size that BuildKit allows a secret.
const maxSecret = 500 << 10

// secrets are the values given with --secret, read when a step asks.
type secrets map[string]Secret

func newSecrets(list []Secret) (secrets, error) {
	m := secrets{}
	for _, s := range list {
		if s.ID == "" {
			return nil, errors.New("secret without an id: use --secret id=NAME,src=FILE")
		}
		if s.File != "" {
			st, err := os.Stat(s.File)
			if err != nil {
				return nil, fmt.Errorf("secret %q: %w", s.ID, err)
			}
			if st.Size() > maxSecret {
				return nil, fmt.Errorf("secret %q: %s has %d bytes, more than %d: %w", s.ID, s.File, st.Size(), maxSecret, errs.ErrTooLarge)
			}
		}
		m[s.ID] = s
	}
	return m, nil
}

// Secret implements source.Secrets.
func (m secrets) Secret(_ context.Context, id string) ([]byte, error) {
	s, ok := m[id]
	if !ok {
		return nil, errs.ErrNotFound
	}
	if s.File != "" {
		f, err := os.Open(s.File)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readSecret(f, s.ID)
	}
	v, ok := os.LookupEnv(s.Env)
	if !ok {
		return nil, fmt.Errorf("environment variable %s: %w", s.Env, errs.ErrNotFound)
	}
	return []byte(v), nil
}

// heard are secrets whose values get known to a mask when a step reads them.
type heard struct {
	secrets
	mask *redact.Mask
}

// Secret implements source.Secrets.
func (h heard) Secret(ctx context.Context, id string) ([]byte, error) {
	v, err := h.secrets.Secret(ctx, id)
	if err == nil {
		h.mask.Add(v)
	}
	return v, err
}

// readSecret reads a secret's file, whose size may have changed or be unknown:
// it may be a pipe.
func readSecret(r io.Reader, id string) ([]byte, error) {
	b, err := readAll(r, maxSecret+1)
	if err == nil && len(b) > maxSecret {
		err = fmt.Errorf("secret %q: more than %d bytes: %w", id, maxSecret, errs.ErrTooLarge)
	}
	return b, err
}

// agents are the ssh agents given with --ssh: sockets, or agents of our own
// that hold keys read from files.
type agents struct {
	socks map[string]string
	dir   string
	open  []net.Listener
}

func newAgents(list []SSH) (*agents, error) {
	a := &agents{socks: map[string]string{}}
	for _, s := range list {
		id := s.ID
		if id == "" {
			id = "default"
		}
		if err := a.add(id, s.Paths); err != nil {
			a.close()
			return nil, fmt.Errorf("ssh %s: %w", id, err)
		}
	}
	return a, nil
}

func (a *agents) add(id string, paths []string) error {
	if len(paths) == 0 {
		sock := os.Getenv("SSH_AUTH_SOCK")
		if sock == "" {
			return errors.New("SSH_AUTH_SOCK is not set: start ssh-agent, or name a key with --ssh " + id + "=FILE")
		}
		a.socks[id] = sock
		return nil
	}
	st, err := os.Stat(paths[0])
	if err != nil {
		return err
	}
	if st.Mode()&os.ModeSocket != 0 {
		if len(paths) > 1 {
			return errors.New("give one agent socket, or key files, not both")
		}
		a.socks[id] = paths[0]
		return nil
	}
	ring := agent.NewKeyring()
	for _, p := range paths {
		if err := addKey(ring, p); err != nil {
			return err
		}
	}
	return a.serve(id, ring)
}

func addKey(ring agent.Agent, path string) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	key, err := ssh.ParseRawPrivateKey(pem)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return fmt.Errorf("key %s has a passphrase: add it to an agent with ssh-add, and give the agent", path)
	}
	if err != nil {
		return fmt.Errorf("key %s: %w", path, err)
	}
	return ring.Add(agent.AddedKey{PrivateKey: key, Comment: filepath.Base(path)})
}

// serve answers for ring on a socket of its own.
func (a *agents) serve(id string, ring agent.Agent) error {
	if a.dir == "" {
		dir, err := os.MkdirTemp("", "mica-ssh-")
		if err != nil {
			return err
		}
		a.dir = dir
	}
	sock := filepath.Join(a.dir, fmt.Sprint(len(a.open)))
	l, err := net.Listen("unix", sock)
	if err != nil {
		return err
	}
	a.open = append(a.open, l)
	a.socks[id] = sock
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
	return nil
}

// Agent implements source.SSH.
func (a *agents) Agent(_ context.Context, id string) (string, error) {
	if id == "" {
		id = "default"
	}
	s, ok := a.socks[id]
	if !ok {
		return "", errs.ErrNotFound
	}
	return s, nil
}

func (a *agents) close() {
	for _, l := range a.open {
		l.Close()
	}
	if a.dir != "" {
		os.RemoveAll(a.dir)
	}
}
