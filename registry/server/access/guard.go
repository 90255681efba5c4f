package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/registry/server/storage"
)

// A Guard keeps to a config, which may change while it works.
type Guard struct {
	file  string
	log   *slog.Logger
	rules atomic.Pointer[rules]
	fails failures
	turns chan struct{} // to compute a hash, which takes much memory
}

// rules are a config and its users at one time.
type rules struct {
	*Config
	users Users
	stamp string // of the files they came from

	// What was found right, so that a hash is computed once: it takes long on purpose.
	key   [32]byte
	mu    sync.Mutex
	right map[[32]byte]time.Time
}

// Open reads a config and the users it names.
func Open(file string, log *slog.Logger) (*Guard, error) {
	r, err := load(file)
	if err != nil {
		return nil, err
	}
	g := &Guard{file: file, log: log, turns: make(chan struct{}, 2)}
	g.rules.Store(r)
	return g, nil
}

func load(file string) (*rules, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("registry config: %w", err)
	}
	c, err := ParseConfig(file, raw)
	if err != nil {
		return nil, err
	}
	r := &rules{Config: c, right: map[[32]byte]time.Time{}}
	_, _ = rand.Read(r.key[:])
	r.stamp = stamp(file, c.Htpasswd)
	if c.Htpasswd != "" {
		if r.users, err = ReadUsers(c.Htpasswd); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// stamp changes when one of the files does.
func stamp(files ...string) string {
	s := ""
	for _, f := range files {
		if st, err := os.Stat(f); err == nil {
			s += fmt.Sprint(st.ModTime().UnixNano(), " ", st.Size(), ";")
		}
	}
	return s
}

// Config is the one in force.
func (g *Guard) Config() *Config { return g.rules.Load().Config }

// Reload reads the files again. On an error the old rules stay.
func (g *Guard) Reload() error {
	r, err := load(g.file)
	if err != nil {
		return err
	}
	g.rules.Store(r)
	return nil
}

// Watch reloads when a file changes, or when asked, until ctx ends.
func (g *Guard) Watch(ctx context.Context, every time.Duration, asked <-chan os.Signal) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	seen := g.rules.Load().stamp
	for {
		wanted := false
		select {
		case <-ctx.Done():
			return
		case <-asked:
			wanted = true
		case <-ticker.C:
		}
		now := stamp(g.file, g.Config().Htpasswd)
		if !wanted && now == seen {
			continue
		}
		seen = now
		if err := g.Reload(); err != nil {
			g.log.Error("registry config: the old one stays in force", "err", err)
			continue
		}
		g.log.Info("registry config: read again", "file", g.file)
	}
}

// Options are the hooks of a server that keeps to the config.
func (g *Guard) Options() server.Options {
	blob, manifest := g.Config().Sizes()
	return server.Options{
		Authorize: g.authorize,
		Allowed: func(r *http.Request, a server.Access) bool {
			user, _, ok := g.who(r)
			return ok && g.may(user, a)
		},
		ReadOnly:  func() bool { return g.Config().ReadOnly },
		Immutable: func(repo, tag string) bool { return g.Config().IsImmutable(repo, tag) },
		Limits:    func(repo string) []storage.Limit { return g.Config().Limits(repo) },
		Actor: func(r *http.Request) string {
			user, _, _ := g.who(r)
			return user
		},
		MaxBlob: blob, MaxManifest: manifest, Logger: g.log,
	}
}

// may decides. The catalog is everybody's who is known, and each sees of it what may be
// pulled.
func (g *Guard) may(user string, a server.Access) bool {
	if a.Action == server.Catalog {
		return true
	}
	ok, _ := g.Config().Decide(user, a.Repository, string(a.Action))
	return ok
}

// authorize answers who may not.
func (g *Guard) authorize(w http.ResponseWriter, r *http.Request, need []server.Access) bool {
	user, said, ok := g.who(r)
	if !ok {
		if wait := g.fails.wait(client(r)); wait > 0 {
			server.TooManyRequests(w, wait)
			return false
		}
		challenge(w)
		return false
	}
	c := g.Config()
	if len(need) == 0 && !said && c.Htpasswd != "" {
		// Clients learn here that they may say who they are.
		challenge(w)
		return false
	}
	for _, a := range need {
		if g.may(user, a) {
			continue
		}
		switch {
		case !said && c.Htpasswd != "":
			challenge(w)
		case a.Action == server.Pull:
			server.NameUnknown(w)
		case !g.may(user, server.Access{Repository: a.Repository, Action: server.Pull}):
			server.WriteError(w, http.StatusForbidden, "DENIED", "you may not do this")
		default:
			server.WriteError(w, http.StatusForbidden, "DENIED", "you may pull from this repository, but not "+string(a.Action))
		}
		return false
	}
	return true
}

func challenge(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="mica registry"`)
	server.WriteError(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
}

// who finds out who sends a request; said is false for somebody who did not say. ok is
// false for somebody who lied, or has tried too often.
func (g *Guard) who(r *http.Request) (user string, said, ok bool) {
	user, password, said := r.BasicAuth()
	if !said || user == "" && password == "" {
		return "", false, r.Header.Get("Authorization") == "" || said
	}
	rules := g.rules.Load()
	if rules.known(user, password) {
		return user, true, true
	}
	from := client(r)
	if g.fails.wait(from) > 0 {
		return "", true, false
	}
	g.turns <- struct{}{}
	right := rules.known(user, password) || rules.users.Check(user, password)
	<-g.turns
	if !right {
		g.fails.add(from)
		return "", true, false
	}
	rules.remember(user, password)
	return user, true, true
}

// believedFor is how long a password is not computed again.
const believedFor = 5 * time.Minute

func (r *rules) sum(user, password string) (out [32]byte) {
	m := hmac.New(sha256.New, r.key[:])
	fmt.Fprintf(m, "%d:%s%s", len(user), user, password)
	m.Sum(out[:0])
	return out
}

func (r *rules) known(user, password string) bool {
	sum := r.sum(user, password)
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.right[sum]
	return ok && time.Since(at) < believedFor
}

func (r *rules) remember(user, password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.right) > 10_000 {
		clear(r.right)
	}
	r.right[r.sum(user, password)] = time.Now()
}

// client is the address that a request comes from.
func client(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
