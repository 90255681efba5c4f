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
			pem, err := os.ReadFile(path)
			if err != nil {
				return c, fmt.Errorf("certificates: %w", err)
			}
			if c.roots == nil {
				if c.roots, err = x509.SystemCertPool(); err != nil {
					c.roots = x509.NewCertPool()
				}
			}
			if !c.roots.AppendCertsFromPEM(pem) {
				return c, fmt.Errorf("certificates: %s has none: %w", path, errs.ErrInvalid)
			}
		case ".cert":
			key := strings.TrimSuffix(path, ".cert") + ".key"
			pair, err := tls.LoadX509KeyPair(path, key)
			if err != nil {
				return c, fmt.Errorf("client certificate %s with key %s: %w", path, key, err)
			}
			c.client = append(c.client, pair)
		}
	}
	return c, nil
}
