package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

func TestInsecure(t *testing.T) {
	o := Options{Insecure: []string{"a.example:80", "b.example", "10.0.0.0/8", "fd00::/8"}}
	for addr, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1:5000": true, "127.9.9.9": true,
		"[::1]:5000": true, "[::1]": true, "a.example:80": true, "b.example:1": true, "b.example": true,
		"10.1.2.3:5000": true, "[fd00::1]:80": true, "[::ffff:10.1.2.3]:80": true,
		"a.example": false, "a.example:81": false, "11.1.1.1": false, "localhost.example": false,
		"127.0.0.1.example": false, "registry-1.docker.io": false, "[fe80::1]:80": false,
	} {
		if got := newHost(addr, o).insecure(); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
}

func TestHub(t *testing.T) {
	var asked []string
	h := newHost("docker.io", Options{Credential: func(_ context.Context, host string) (Credential, error) {
		asked = append(asked, host)
		return Credential{Username: "me"}, nil
	}})
	if h.addr != "registry-1.docker.io" {
		t.Errorf("address %s", h.addr)
	}
	for addr, want := range map[string]string{"registry-1.docker.io": "me", "evil.example": "", "docker.io": ""} {
		c, err := h.credential(t.Context(), addr)
		if err != nil || c.Username != want {
			t.Errorf("%s got %+v, %v", addr, c, err)
		}
	}
	if len(asked) != 1 || asked[0] != "docker.io" {
		t.Errorf("asked for %q", asked)
	}
	if c, err := newHost("x", Options{}).credential(t.Context(), "x"); err != nil || c != auth.EmptyCredential {
		t.Errorf("no credentials: %+v, %v", c, err)
	}
}

func TestLocation(t *testing.T) {
	for _, tt := range []struct{ at, location, want string }{
		{"https://h/v2/a/", "/v2/a/blobs/uploads/1", "https://h/v2/a/blobs/uploads/1"},
		{"https://h/v2/a/", "http://h/up?x=1", "https://h/up?x=1"}, // a registry behind a TLS proxy
		{"https://h/v2/a/", "https://s3/up", "https://s3/up"},
		{"https://h/v2/a/", "http://other/up", ""},
		{"http://h/v2/a/", "http://other/up", "http://other/up"},
		{"https://h/v2/a/", "file:///etc/passwd", ""},
	} {
		at, err := url.Parse(tt.at)
		if err != nil {
			t.Fatal(err)
		}
		got, err := (&Repository{}).location(&http.Response{
			Request: &http.Request{URL: at}, Header: http.Header{"Location": {tt.location}},
		})
		if (err != nil) != (tt.want == "") || (err == nil && got.String() != tt.want) {
			t.Errorf("%s: %v, %v; want %q", tt.location, got, err, tt.want)
		}
	}
}

func TestHeaders(t *testing.T) {
	for s, want := range map[string]int64{"bytes 5-9/10": 5, "bytes 0-0/1": 0, "bytes */5": -1, "5-9": -1, "bytes -5-": -1, "": -1} {
		if got, ok := rangeStart(s); ok != (want >= 0) || (ok && got != want) {
			t.Errorf("Content-Range %q: %d, %v", s, got, ok)
		}
	}
	for s, want := range map[string]time.Duration{"0": 0, "7": 7 * time.Second, "-1": -1, "x": -1, "": -1, "Mon, 02 Jan 2006 15:04:05 GMT": 0} {
		if got, ok := retryAfter(s); ok != (want >= 0) || (ok && got != want) {
			t.Errorf("Retry-After %q: %v, %v", s, got, ok)
		}
	}
}

// TestClientCertificate shows the certificate in certs.d to a server that wants one.
func TestClientCertificate(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	srv.StartTLS()
	defer srv.Close()
	addr := srv.Listener.Addr().String()
	dir := filepath.Join(t.TempDir(), addr)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// The server's own pair serves as the client's too.
	pair := srv.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.crt":      {Type: "CERTIFICATE", Bytes: srv.Certificate().Raw},
		"client.cert": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		"client.key":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := New(Options{CertsDirs: []string{filepath.Dir(dir)}}).Ping(t.Context(), addr, nil); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	if err := New(Options{CertsDirs: []string{}}).Ping(t.Context(), addr, nil); err == nil {
		t.Error("let in without a certificate")
	}
	if err := os.Remove(filepath.Join(dir, "client.key")); err != nil {
		t.Fatal(err)
	}
	if err := New(Options{CertsDirs: []string{filepath.Dir(dir)}}).Ping(t.Context(), addr, nil); err == nil {
		t.Error("a certificate without its key is no error")
	}
}
