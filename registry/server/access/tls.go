package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mica-build/mica/internal/atomicfile"
)

// A Certificate is one in files, which are read again when they change.
type Certificate struct {
	cert, key string

	mu    sync.Mutex
	stamp string
	pair  *tls.Certificate
}

// OpenCertificate reads a certificate and its key.
func OpenCertificate(cert, key string) (*Certificate, error) {
	c := &Certificate{cert: cert, key: key}
	_, err := c.get()
	return c, err
}

// Config is a TLS configuration that shows the certificate.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get() },
	}
}

// get gives the certificate; the old one while the files are being replaced.
func (c *Certificate) get() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := stamp(c.cert, c.key)
	if c.pair != nil && now == c.stamp {
		return c.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		if c.pair != nil {
			return c.pair, nil
		}
		return nil, fmt.Errorf("certificate %s with key %s: %w", c.cert, c.key, err)
	}
	c.pair, c.stamp = &pair, now
	return c.pair, nil
}

// selfSignedFor is how long a certificate that is made here is good.
const selfSignedFor = 10 * 365 * 24 * time.Hour

// SelfSigned gives the files of a certificate in dir that vouches for itself, and makes
// it if there is none: for this machine's name, localhost and host.
func SelfSigned(dir, host string) (cert, key string, err error) {
	cert, key = filepath.Join(dir, "self-signed.crt"), filepath.Join(dir, "self-signed.key")
	_, cerr := os.Stat(cert)
	_, kerr := os.Stat(key)
	if cerr == nil && kerr == nil {
		return cert, key, nil
	}
	for _, err := range []error{cerr, kerr} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", "", err
		}
	}
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	der, err := x509.CreateCertificate(rand.Reader, template(host), template(host), &secret.PublicKey, secret)
	if err != nil {
		return "", "", err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		return "", "", err
	}
	err = atomicfile.Write(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), atomicfile.Options{Perm: 0o600})
	if err == nil {
		err = atomicfile.Write(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), atomicfile.Options{Perm: 0o644})
	}
	return cert, key, err
}

func template(host string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "mica registry"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(selfSignedFor),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if name, err := os.Hostname(); err == nil {
		t.DNSNames = append(t.DNSNames, name)
	}
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		t.IPAddresses = append(t.IPAddresses, ip)
	} else if ip == nil && host != "" {
		t.DNSNames = append(t.DNSNames, host)
	}
	return t
}
