package source

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"unicode"

	"github.com/moby/buildkit/util/gitutil"

	"github.com/mica-build/mica/errs"
)

// authorize gives a runner that may reach the spec's remote with the build's
// credentials. The cleanup removes the file of known hosts.
func (c *Client) authorize(ctx context.Context, s gitSpec) (g gitRunner, cleanup func(), err error) {
	g = gitRunner{program: c.Git}
	if s.remote.http() || s.remote.scheme == gitutil.SSHProtocol || s.remote.scheme == gitutil.GitProtocol {
		if err := c.refuse("git repository " + s.remote.repository()); err != nil {
			return g, nil, err
		}
	}
	if s.remote.http() {
		if g.headers, err = c.gitHeaders(ctx, s); err != nil {
			return g, nil, err
		}
	}
	if s.remote.scheme == gitutil.SSHProtocol {
		if g.agent, err = c.gitAgent(ctx, s.sshID); err != nil {
			return g, nil, err
		}
	}
	hosts, err := c.knownHostsFile(s.knownHosts)
	if err != nil {
		return g, nil, err
	}
	g.ssh = sshCommand(hosts, g.agent != "")
	return g, func() {
		if hosts != "" {
			os.Remove(hosts)
		}
	}, nil
}

// gitAgent gives the agent's socket that the request asks for.
func (c *Client) gitAgent(ctx context.Context, id string) (string, error) {
	if _, err := exec.LookPath("ssh"); err != nil {
		return "", fmt.Errorf("git over ssh needs the program ssh (Debian package openssh-client): %w: %w", errs.ErrUnsupported, err)
	}
	if id == "" {
		return "", nil
	}
	if c.SSH == nil {
		return "", fmt.Errorf("no ssh agent is forwarded as %s (build with --ssh %s): %w", id, id, errs.ErrNotFound)
	}
	sock, err := c.SSH.Agent(ctx, id)
	if errors.Is(err, errs.ErrNotFound) {
		return "", fmt.Errorf("no ssh agent is forwarded as %s (build with --ssh %s): %w", id, id, err)
	}
	if err != nil {
		return "", fmt.Errorf("ssh agent %s: %w", id, err)
	}
	return sock, nil
}

// gitHeaders finds the credentials for the remote: a secret for its host, else
// the one for all hosts, else what the URL itself held.
func (c *Client) gitHeaders(ctx context.Context, s gitSpec) ([][2]string, error) {
	type candidate struct {
		id    string
		token bool
	}
	for _, try := range []candidate{
		{s.headerSecret + "." + s.remote.host, false},
		{s.tokenSecret + "." + s.remote.host, true},
		{s.headerSecret, false},
		{s.tokenSecret, true},
	} {
		if try.id == "" || strings.HasPrefix(try.id, ".") {
			continue
		}
		v, ok, err := c.secret(ctx, try.id)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if strings.ContainsFunc(v, unicode.IsControl) {
			return nil, fmt.Errorf("secret %s holds control characters: %w", try.id, errs.ErrInvalid)
		}
		if try.token {
			v = basicHeader("x-access-token:" + v)
		}
		return [][2]string{{secretScope(s.remote), v}}, nil
	}
	return s.remote.headers(), nil
}

// headers authorizes with what the URL held, on its server.
func (r remote) headers() [][2]string {
	if r.basic == "" {
		return nil
	}
	return [][2]string{{r.server(), basicHeader(r.basic)}}
}

func basicHeader(userPassword string) string {
	return "basic " + base64.StdEncoding.EncodeToString([]byte(userPassword))
}

// secretScope is the URL below which a secret is sent: the remote alone, but all
// of GitHub for a remote there, so that private submodules work with one token.
func secretScope(r remote) string {
	for _, all := range []string{"https://github.com/", "https://www.github.com/"} {
		if strings.HasPrefix(r.url, all) {
			return all
		}
	}
	return r.url
}

// sshCommand lets ssh read neither the user's configuration nor keys, ask
// nothing, and talk only to hosts whose keys are known: those of the file, or
// without one the user's and the machine's.
func sshCommand(hosts string, agent bool) string {
	words := []string{"ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "IdentityFile=none"}
	if hosts != "" {
		words = append(words, "-o", "UserKnownHostsFile='"+strings.ReplaceAll(hosts, "'", `'\''`)+"'")
	}
	if !agent {
		words = append(words, "-o", "IdentityAgent=none")
	}
	return strings.Join(words, " ")
}

// knownHostsFile writes the known hosts where ssh can read them, or gives "".
func (c *Client) knownHostsFile(hosts string) (string, error) {
	if hosts == "" {
		return "", nil
	}
	f, err := os.CreateTemp("", "mica-known-hosts-*")
	if err != nil {
		return "", fmt.Errorf("known hosts: %w", err)
	}
	defer f.Close()
	if _, err := f.WriteString(hosts); err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("known hosts: %w", err)
	}
	return f.Name(), nil
}
