//go:build linux

package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/mica-build/mica/internal/safepath"
	"github.com/mica-build/mica/sandbox/internal/inside"
)

// caBundles are where distributions keep the certificates their TLS libraries
// trust, all in one file.
var caBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine, Arch, Gentoo
	"/etc/ssl/cert.pem",                                 // Alpine, LibreSSL
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL
	"/etc/pki/tls/cert.pem",                             // RHEL
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL 7 and later
	"/etc/ssl/ca-bundle.pem",                            // SUSE
	"/var/lib/ca-certificates/ca-bundle.pem",            // SUSE
}

// caFile is where the certificates are in a root that has no bundle.
const caFile = "/run/mica-ca.pem"

// caVariables lead what reads no bundle, or another one, to caFile.
var caVariables = []string{
	"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE", "CARGO_HTTP_CAINFO",
}

// maxBundle bounds a bundle of an image.
const maxBundle = 8 << 20

// fillCA shows the process the root's own bundles with the Runner's certificates
// added, or, where there is none, a file with those alone that the environment
// names. The root's files stay as they are.
func (l *launch) fillCA() error {
	if len(l.r.CABundle) == 0 {
		return nil
	}
	type file struct{ dev, ino uint64 }
	seen := map[file]bool{}
	for _, name := range caBundles {
		st, err := safepath.Stat(l.s.Root, name)
		if err != nil || seen[file{uint64(st.Dev), st.Ino}] {
			continue
		}
		data, err := safepath.ReadFile(l.s.Root, name, maxBundle)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("CA bundle %s: %w", name, err)
		}
		seen[file{uint64(st.Dev), st.Ino}] = true
		data = append(append(slices.Clip(data), '\n'), l.r.CABundle...)
		l.config.Files = append(l.config.Files, inside.File{Target: name, Data: data})
	}
	if len(seen) > 0 {
		return nil
	}
	l.config.Files = append(l.config.Files, inside.File{Target: caFile, Data: l.r.CABundle})
	for _, name := range caVariables {
		if !slices.ContainsFunc(l.config.Env, func(v string) bool { return strings.HasPrefix(v, name+"=") }) {
			l.config.Env = append(l.config.Env, name+"="+caFile)
		}
	}
	return l.stubs.add(caFile, true, false)
}
