package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/ref"
)

// hubAddr is where the registry of docker.io answers.
const hubAddr = "registry-1.docker.io"

// A host is one registry: its address, connections and tokens.
type host struct {
	name string // as references say it
	addr string // as URLs say it
	o    Options

	unreachable downtime
	realms      realms

	mu     sync.Mutex
	ready  bool
	scheme string
	own    *http.Transport // to addr, with its client certificates
	other  *http.Transport // to wherever addr sends us
	client *auth.Client
}

func newHost(name string, o Options) *host {
	h := &host{name: name, addr: name, o: o}
	if name == ref.DefaultDomain || name == "index.docker.io" {
		h.name, h.addr = ref.DefaultDomain, hubAddr
	}
	return h
}

// open reads certificates and finds out whether the host speaks TLS, once it
// succeeded.
func (h *host) open(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ready {
		return nil
	}
	set, err := h.settings()
	if err != nil {
		return err
	}
	insecure := set.Insecure || h.insecure()
	certs, err := loadCerts(h.o.CertsDirs, h.addr, h.name)
	if err == nil {
		err = certs.add(set)
	}
	if err != nil {
		return err
	}
	if h.own == nil {
		h.own = newTransport(certs.tls(true, insecure && certs.roots == nil))
		h.other = newTransport(certs.tls(false, false))
		h.client = h.newAuth()
	}
	h.scheme = "https"
	if insecure {
		if h.scheme, err = h.findScheme(ctx); err != nil {
			return err
		}
	}
	h.ready = true
	return nil
}

// settings are what Options.Hosts says of the host, which may be blocked, or not to
// be asked at all.
func (h *host) settings() (Host, error) {
	if h.o.Hosts == nil {
		return Host{}, nil
	}
	if why, offline := h.o.Hosts.Offline(); offline {
		return Host{}, fmt.Errorf("registry %s is not asked: %w (%s)", h.name, ErrOffline, why)
	}
	set, err := h.o.Hosts.Host(h.name)
	if err != nil {
		return set, err
	}
	if set.Blocked {
		return set, fmt.Errorf("registry %s is blocked by the configuration: %w", h.name, errs.ErrUnauthorized)
	}
	return set, nil
}

// schemeTimeout bounds each question that findScheme asks.
const schemeTimeout = 15 * time.Second

// findScheme asks for /v2/ by https and, if that is not spoken there, by http.
func (h *host) findScheme(ctx context.Context) (string, error) {
	err := h.speaks(ctx, "https")
	if err == nil {
		return "https", nil
	}
	if ctx.Err() == nil && h.speaks(ctx, "http") == nil {
		return "http", nil
	}
	return "", fmt.Errorf("registry %s: %w", h.name, err)
}

// speaks asks for /v2/ without credentials.
func (h *host) speaks(ctx context.Context, scheme string) error {
	ctx, cancel := context.WithTimeout(ctx, schemeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+h.addr+"/v2/", nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", h.o.UserAgent)
	resp, err := h.own.RoundTrip(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusBadRequest {
		return errors.New("400 Bad Request") // so a TLS server answers plain http
	}
	return nil
}

// insecure says whether plain http and unverified certificates are allowed.
func (h *host) insecure() bool {
	name, _, err := net.SplitHostPort(h.addr)
	if err != nil {
		name = strings.Trim(h.addr, "[]")
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip, iperr := netip.ParseAddr(name)
	if iperr == nil && ip.Unmap().IsLoopback() {
		return true
	}
	for _, s := range h.o.Insecure {
		if s == h.addr || s == name {
			return true
		}
		if p, err := netip.ParsePrefix(s); err == nil && iperr == nil && p.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

// newAuth makes the client that answers the host's challenges. It sends no
// Authorization where a redirect leads to another host.
func (h *host) newAuth() *auth.Client {
	header := h.o.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("User-Agent", h.o.UserAgent)
	return &auth.Client{
		Client:     &http.Client{Transport: &retrier{next: route{h}, o: &h.o}},
		Header:     header,
		Cache:      auth.NewCache(),
		ClientID:   "mica",
		Credential: h.credential,
	}
}

// credential is asked with the address of whoever wants credentials: only the
// registry itself gets them.
func (h *host) credential(ctx context.Context, addr string) (auth.Credential, error) {
	if addr != h.addr || h.o.Credential == nil {
		return auth.EmptyCredential, nil
	}
	c, err := h.o.Credential(ctx, h.name)
	if err != nil {
		return auth.EmptyCredential, fmt.Errorf("credentials for %s: %w", h.name, err)
	}
	return auth.Credential{
		Username: c.Username, Password: c.Password,
		RefreshToken: c.IdentityToken, AccessToken: c.RegistryToken,
	}, nil
}

// route picks the connections for a request: client certificates are shown to
// the registry only.
type route struct{ h *host }

// RoundTrip sends the request.
func (r route) RoundTrip(req *http.Request) (*http.Response, error) {
	if req = r.h.realms.real(req); req.URL.Host != r.h.addr {
		return r.h.other.RoundTrip(req)
	}
	var at net.Addr
	resp, err := r.h.own.RoundTrip(noting(req, &at))
	if err == nil {
		r.h.realms.disguise(req, resp, at)
	}
	return resp, err
}

// ping checks that the registry is one and lets us in.
func (h *host) ping(ctx context.Context) error {
	resp, err := h.do(ctx, http.MethodGet, &url.URL{Path: "/v2/"}, nil, nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (h *host) closeIdle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.own != nil {
		h.own.CloseIdleConnections()
		h.other.CloseIdleConnections()
	}
}

// newTransport keeps to HTTP/1.1 with several connections: blobs are bulk, and
// one HTTP/2 connection is slower than a few plain ones.
func newTransport(certs tlsSource) *http.Transport {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        certs(),
		TLSHandshakeTimeout:    15 * time.Second,
		ResponseHeaderTimeout:  5 * time.Minute, // a registry hashes a large blob before it answers
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    16,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // digests are over the bytes as stored
	}
}
