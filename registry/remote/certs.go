package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mica-build/mica/errs"
)

// certs are what certs.d says about a host.
type certs struct {
	roots  *x509.CertPool // nil: the system's
	client []tls.Certificate
}

// tlsSource makes a TLS configuration; each transport needs its own.
type tlsSource func() *tls.Config

// tls is the configuration with or without client certificates.
func (c certs) tls(client, skipVerify bool) tlsSource {
	return func() *tls.Config {
		t := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.roots, InsecureSkipVerify: skipVerify}
		if client {
			t.Certificates = c.client
		}
		return t
	}
}

// certsDirs are where docker and podman look, without root and with it.
func certsDirs() []string {
	var dirs []string
	user, err := os.UserConfigDir()
	for _, base := range []string{user, "/etc"} {
		if base == "" || base == user && err != nil {
			continue
		}
		dirs = append(dirs, filepath.Join(base, "docker/certs.d"), filepath.Join(base, "containers/certs.d"))
	}
	return dirs
}

// loadCerts reads the first directory of dirs that has one of the names.
func loadCerts(dirs []string, names ...string) (certs, error) {
	for _, dir := range dirs {
		for _, name := range names {
			entries, err := os.ReadDir(filepath.Join(dir, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return certs{}, fmt.Errorf("certificates of %s: %w", name, err)
			}
			return readCerts(filepath.Join(dir, name), entries)
		}
	}
	return certs{}, nil
}

func readCerts(dir string, entries []fs.DirEntry) (certs, error) {
	var c certs
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch filepath.Ext(e.Name()) {
		case ".crt":
			if err := c.addRoots(path); err != nil {
				return c, err
			}
		case ".cert":
			if err := c.addClient(path, strings.TrimSuffix(path, ".cert")+".key"); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

// add reads the files that settings name.
func (c *certs) add(set Host) error {
	if set.CA != "" {
		if err := c.addRoots(set.CA); err != nil {
			return err
		}
	}
	if set.ClientCert == "" {
		return nil
	}
	key := set.ClientKey
	if key == "" {
		key = set.ClientCert // both may be in one file
	}
	return c.addClient(set.ClientCert, key)
}

func (c *certs) addRoots(path string) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	if c.roots == nil {
		if c.roots, err = x509.SystemCertPool(); err != nil {
			c.roots = x509.NewCertPool()
		}
	}
	if !c.roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("certificates: %s has none: %w", path, errs.ErrInvalid)
	}
	return nil
}

func (c *certs) addClient(cert, key string) error {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("client certificate %s with key %s: %w", cert, key, err)
	}
	c.client = append(c.client, pair)
	return nil
}
