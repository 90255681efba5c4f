package cli

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/dockerconfig"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/registry/remote"
)

// registry makes a client with the credentials in docker's config.json, which is
// read when a registry first asks for them.
func (a *app) registry() *remote.Client { return remote.New(a.registryOptions()) }

func (a *app) registryOptions() remote.Options {
	return remote.Options{UserAgent: userAgent(), Credential: a.credential, Hosts: &a.hosts, Header: a.registryHeader()}
}

// registryHeader is what docker's config wants to be sent along. A config that cannot
// be read is complained of where credentials are looked for.
func (a *app) registryHeader() http.Header {
	c, err := dockerconfig.Load(a.configDir)
	if err != nil {
		return nil
	}
	h := http.Header{}
	for k, v := range c.HTTPHeaders() {
		h.Set(k, v)
	}
	return h
}

// credential finds what docker's config, or a helper it names, has for a host, and
// otherwise what podman has.
func (a *app) credential(ctx context.Context, host string) (remote.Credential, error) {
	c, err := dockerconfig.Load(a.configDir)
	if err != nil {
		return remote.Credential{}, err
	}
	cred, err := c.Credential(ctx, host)
	if err != nil || cred != (dockerconfig.Credential{}) {
		return remote.Credential(cred), err
	}
	file := podmanAuthFile()
	if file == "" {
		return remote.Credential{}, nil
	}
	if c, err = dockerconfig.LoadFile(file); err != nil {
		return remote.Credential{}, err
	}
	cred, err = c.Credential(ctx, host)
	return remote.Credential(cred), err
}

// podmanAuthFile is where podman keeps credentials, "" if there is no such place.
func podmanAuthFile() string {
	if f := os.Getenv("REGISTRY_AUTH_FILE"); f != "" {
		return f
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "containers", "auth.json")
	}
	return ""
}

// saveCredential keeps a credential for host where docker would. plain says that
// others who can read docker's config can read it.
func (a *app) saveCredential(ctx context.Context, host string, cred remote.Credential) (plain bool, err error) {
	c, err := dockerconfig.Load(a.configDir)
	if err != nil {
		return false, err
	}
	return c.Store(ctx, host, dockerconfig.Credential(cred))
}

// forgetCredential removes the credential for host; there being none is no error.
func (a *app) forgetCredential(ctx context.Context, host string) error {
	c, err := dockerconfig.Load(a.configDir)
	if err != nil {
		return err
	}
	if err := c.Erase(ctx, host); !errors.Is(err, errs.ErrNotFound) {
		return err
	}
	return nil
}

// serverAddress is the key of a host's credential in docker's config.
func serverAddress(host string) string {
	if host == ref.DefaultDomain {
		return "https://index.docker.io/v1/"
	}
	return host
}
