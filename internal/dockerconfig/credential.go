package dockerconfig

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/mica-build/mica/errs"
)

// hubKey is what Docker Hub's credentials are kept under, everywhere.
const hubKey = "https://index.docker.io/v1/"

// A Credential lets somebody into a registry. The zero Credential is anonymous.
// It has the fields of remote.Credential and converts to it.
type Credential struct {
	Username      string
	Password      string
	IdentityToken string
	RegistryToken string
}

// An entry of "auths".
type entry struct {
	Auth          string `json:"auth,omitempty"` // base64 of "user:password"
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
	RegistryToken string `json:"registrytoken,omitempty"`
}

// Credential finds what docker would use for a host ("docker.io",
// "localhost:5000"): DOCKER_AUTH_CONFIG, then the host's credential helper, then
// the general one, then the file. Having none is no error.
func (c *Config) Credential(ctx context.Context, host string) (Credential, error) {
	if c.env != "" {
		s, err := parse([]byte(c.env))
		if err != nil {
			return Credential{}, fmt.Errorf("DOCKER_AUTH_CONFIG: %w", err)
		}
		if e, ok := lookup(s.Auths, host); ok {
			cred, err := decode(entry{Auth: e.Auth})
			if err != nil {
				return Credential{}, fmt.Errorf("DOCKER_AUTH_CONFIG: %s: %w", host, err)
			}
			if cred != (Credential{}) {
				return cred, nil
			}
		}
	}
	c.mu.Lock()
	e, _ := lookup(c.settings.Auths, host)
	helper := c.helper(host)
	c.mu.Unlock()
	if helper != "" {
		cred, err := askHelper(ctx, helper, key(host))
		if err != nil || cred != (Credential{}) {
			return cred, err
		}
	}
	cred, err := decode(e)
	if err != nil {
		return Credential{}, fmt.Errorf("%s: auths: %s: %w", c.path, host, err)
	}
	return cred, nil
}

// Store keeps cred for host, as docker login does. plain says that it is now in
// the file, readable, since no credential helper is configured.
func (c *Config) Store(ctx context.Context, host string, cred Credential) (plain bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if helper := c.helper(host); helper != "" {
		err := credentials.NewNativeStore(helper).Put(ctx, key(host), auth.Credential{
			Username: cred.Username, Password: cred.Password, RefreshToken: cred.IdentityToken,
		})
		if err != nil {
			return false, helperError(helper, "store", err)
		}
		return false, c.change(host, &entry{})
	}
	e := entry{IdentityToken: cred.IdentityToken, RegistryToken: cred.RegistryToken}
	if cred.Username != "" || cred.Password != "" {
		e.Auth = base64.StdEncoding.EncodeToString([]byte(cred.Username + ":" + cred.Password))
	}
	return true, c.change(host, &e)
}

// Erase forgets host, as docker logout does. errs.ErrNotFound if nothing was kept.
func (c *Config) Erase(ctx context.Context, host string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, found := lookup(c.settings.Auths, host)
	if helper := c.helper(host); helper != "" {
		cred, err := askHelper(ctx, helper, key(host))
		if err != nil {
			return err
		}
		if cred != (Credential{}) {
			found = true
			if err := credentials.NewNativeStore(helper).Delete(ctx, key(host)); err != nil {
				return helperError(helper, "erase", err)
			}
		}
	}
	if !found {
		return fmt.Errorf("credentials for %s: %w", host, errs.ErrNotFound)
	}
	return c.change(host, nil)
}

// helper is the suffix of the credential helper for host, "" if there is none.
func (c *Config) helper(host string) string {
	for _, k := range []string{key(host), host} {
		if h := c.settings.CredHelpers[k]; h != "" {
			return h
		}
	}
	return c.settings.CredsStore
}

// key is what a host's credentials are kept under.
func key(host string) string {
	switch host {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return hubKey
	}
	return host
}

// lookup finds host among keys that may be hosts or old URLs.
func lookup(auths map[string]entry, host string) (entry, bool) {
	k := key(host)
	if e, ok := auths[k]; ok {
		return e, true
	}
	for _, name := range slices.Sorted(maps.Keys(auths)) {
		if key(hostOf(name)) == k {
			return auths[name], true
		}
	}
	return entry{}, false
}

// hostOf is the host in an old key such as "https://host:5000/v1/".
func hostOf(k string) string {
	k = strings.TrimPrefix(strings.TrimPrefix(k, "https://"), "http://")
	k, _, _ = strings.Cut(k, "/")
	return k
}

// decode reads an entry.
func decode(e entry) (Credential, error) {
	c := Credential{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken}
	if e.Auth == "" {
		return c, nil
	}
	raw, err := base64.StdEncoding.DecodeString(e.Auth)
	if err != nil {
		return Credential{}, fmt.Errorf("auth is not base64: %w", errs.ErrInvalid)
	}
	user, password, ok := strings.Cut(string(raw), ":")
	if !ok || user == "" {
		return Credential{}, fmt.Errorf("auth is not user:password: %w", errs.ErrInvalid)
	}
	c.Username, c.Password = user, strings.Trim(password, "\x00")
	return c, nil
}

// askHelper runs docker-credential-NAME get.
func askHelper(ctx context.Context, name, server string) (Credential, error) {
	got, err := credentials.NewNativeStore(name).Get(ctx, server)
	if err != nil {
		return Credential{}, helperError(name, "get", err)
	}
	return Credential{Username: got.Username, Password: got.Password, IdentityToken: got.RefreshToken}, nil
}

// helperError keeps what a helper printed out of the error, except that it is
// not there: it may have printed a secret.
func helperError(name, verb string, err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("credential helper docker-credential-%s: %w", name, exec.ErrNotFound)
	}
	return fmt.Errorf("credential helper docker-credential-%s %s failed (run it by hand to see why)", name, verb)
}
