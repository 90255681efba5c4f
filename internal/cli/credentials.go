package cli

import (
	"context"
	"fmt"
	"path/filepath"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/mica-build/mica/registry/remote"
)

// registry makes a client with the credentials in docker's config.json, which is
// read when a registry first asks for them.
func (a *app) registry() *remote.Client { return remote.New(a.registryOptions()) }

func (a *app) registryOptions() remote.Options {
	return remote.Options{UserAgent: userAgent(), Credential: a.credential, Hosts: &a.hosts}
}

// credential finds what docker's config, or a helper it names, has for a host.
func (a *app) credential(ctx context.Context, host string) (remote.Credential, error) {
	s, err := a.credentialStore()
	if err != nil {
		return remote.Credential{}, err
	}
	c, err := s.Get(ctx, serverAddress(host))
	if err != nil {
		return remote.Credential{}, err
	}
	return remote.Credential{
		Username: c.Username, Password: c.Password, IdentityToken: c.RefreshToken, RegistryToken: c.AccessToken,
	}, nil
}

// saveCredential keeps a credential for host where docker would.
func (a *app) saveCredential(ctx context.Context, host string, c remote.Credential) error {
	s, err := a.credentialStore()
	if err != nil {
		return err
	}
	return s.Put(ctx, serverAddress(host), auth.Credential{
		Username: c.Username, Password: c.Password, RefreshToken: c.IdentityToken, AccessToken: c.RegistryToken,
	})
}

// forgetCredential removes the credential for host.
func (a *app) forgetCredential(ctx context.Context, host string) error {
	s, err := a.credentialStore()
	if err != nil {
		return err
	}
	return s.Delete(ctx, serverAddress(host))
}

func (a *app) credentialStore() (credentials.Store, error) {
	path := filepath.Join(a.configDir, "config.json")
	s, err := credentials.NewStore(path, credentials.StoreOptions{AllowPlaintextPut: true})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

// serverAddress is the key of a host's credential in docker's config.
func serverAddress(host string) string { return credentials.ServerAddressFromRegistry(host) }
