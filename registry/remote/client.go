package remote

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/mica-build/mica/ref"
)

// A Credential lets somebody into a registry. The zero Credential is anonymous.
type Credential struct {
	Username      string
	Password      string
	IdentityToken string // an OAuth2 refresh token
	RegistryToken string // a bearer token, sent as it is
}

// Options configure New. The zero value works.
type Options struct {
	// UserAgent is sent with every request; "" means "mica".
	UserAgent string
	// Header is sent with every request besides.
	Header http.Header
	// Credential finds the credential for a host as references name it
	// ("docker.io", "localhost:5000"). nil means anonymous.
	Credential func(ctx context.Context, host string) (Credential, error)
	// Insecure lists hosts ("host:port", "host" for any port) and networks
	// ("10.0.0.0/8") whose certificates are not verified and which may speak
	// plain http. Loopback addresses always may.
	Insecure []string
	// CertsDirs are searched in order for a directory HOST with *.crt
	// (authorities) and *.cert with *.key (client certificates).
	// nil means certs.d of docker and podman, in the user's configuration and in
	// /etc; an empty slice means none.
	CertsDirs []string
	// Hosts says what is special about registries, such as mirrors; nil is nothing.
	Hosts Hosts
	// Retries is how often a failed request is repeated; 0 means 4, less than 0 never.
	Retries int
	// RetryDelay is the wait before the first repetition, doubled each time;
	// 0 means 250 ms.
	RetryDelay time.Duration
	// MaxRetryAfter is the longest wait that a registry may ask for; a longer
	// one fails the request. 0 means one minute.
	MaxRetryAfter time.Duration
	// StallTimeout ends a connection on which nothing came for so long;
	// 0 means one minute.
	StallTimeout time.Duration
	// ChunkSize, when greater than 0, sends blobs in chunks of so many bytes.
	// By default a blob is one request, and chunks of 16 MiB are used for what
	// is sent again after a registry, or a proxy before it, refused the whole.
	ChunkSize int64
}

// Client talks to registries.
type Client struct {
	o  Options
	mu sync.Mutex
	// hosts by the name that references use; each keeps its connections and tokens.
	hosts map[string]*host
}

// New makes a client. It does nothing that needs the network.
func New(o Options) *Client {
	if o.UserAgent == "" {
		o.UserAgent = "mica"
	}
	if o.CertsDirs == nil {
		o.CertsDirs = certsDirs()
	}
	if o.Retries == 0 {
		o.Retries = 4
	}
	setDefault(&o.RetryDelay, 250*time.Millisecond)
	setDefault(&o.MaxRetryAfter, time.Minute)
	setDefault(&o.StallTimeout, time.Minute)
	return &Client{o: o, hosts: map[string]*host{}}
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d <= 0 {
		*d = v
	}
}

// Repository is the repository that r names. Tag and digest of r are not looked at.
func (c *Client) Repository(r ref.Ref) *Repository {
	return &Repository{client: c, host: c.host(r.Domain), ref: ref.Ref{Domain: r.Domain, Path: r.Path}}
}

// Ping checks that host ("docker.io", "localhost:5000") is a registry and lets
// cred in; a nil cred means the one that Options.Credential finds.
// errs.ErrUnauthorized says that it does not.
func (c *Client) Ping(ctx context.Context, hostName string, cred *Credential) error {
	h := c.host(hostName)
	if cred != nil {
		// A host of its own, so that neither token is mistaken for the other's.
		o := c.o
		o.Credential = func(context.Context, string) (Credential, error) { return *cred, nil }
		h = newHost(hostName, o)
		defer h.closeIdle()
	}
	return h.ping(ctx)
}

// host gives the one host of that name.
func (c *Client) host(name string) *host {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.hosts[name]
	if !ok {
		h = newHost(name, c.o)
		c.hosts[name] = h
	}
	return h
}
