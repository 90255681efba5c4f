package remote

import (
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// realms are the token servers with an address of a private network that a registry of
// a private network named, as a GitLab of a company does. oras-go refuses any token
// server there that is not the registry's own host, so that no registry can have us
// send requests into the network around us; it is shown one, and route knows the other.
// A registry that is in that network itself could send them without us.
type realms struct {
	mu    sync.Mutex
	known []*url.URL
}

// realmPath begins the path of a URL that stands for a realm.
const realmPath = "/.realm/"

// noting has the address that a request is sent to noted in seen.
func noting(req *http.Request, seen *net.Addr) *http.Request {
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { *seen = i.Conn.RemoteAddr() }}
	return req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
}

// disguise replaces the realm of a challenge, if the registry at the address may name one.
func (k *realms) disguise(req *http.Request, resp *http.Response, from net.Addr) {
	if resp.StatusCode != http.StatusUnauthorized || !private(from) {
		return
	}
	if proxy, err := http.ProxyFromEnvironment(req); err != nil || proxy != nil {
		return // the address is the proxy's
	}
	for i, challenge := range resp.Header["Www-Authenticate"] {
		realm, rest, ok := cutRealm(challenge)
		u, err := url.Parse(realm)
		if !ok || err != nil || u.Host == "" || u.Hostname() == req.URL.Hostname() || linkLocal(u.Hostname()) {
			continue
		}
		if u.Scheme != "https" && u.Scheme != req.URL.Scheme {
			continue // oras-go says what is wrong with it
		}
		stand := url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: realmPath + strconv.Itoa(k.number(u))}
		resp.Header["Www-Authenticate"][i] = rest[0] + stand.String() + rest[1]
	}
}

// number gives a realm its number.
func (k *realms) number(u *url.URL) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, known := range k.known {
		if known.String() == u.String() {
			return i
		}
	}
	k.known = append(k.known, u)
	return len(k.known) - 1
}

// real is the request to the realm that req's URL stands for, or req.
func (k *realms) real(req *http.Request) *http.Request {
	n, err := strconv.Atoi(strings.TrimPrefix(req.URL.Path, realmPath))
	if err != nil || !strings.HasPrefix(req.URL.Path, realmPath) {
		return req
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if n < 0 || n >= len(k.known) {
		return req
	}
	u := *k.known[n]
	query := u.Query()
	for name, values := range req.URL.Query() {
		query[name] = values
	}
	u.RawQuery = query.Encode()
	out := req.Clone(req.Context())
	out.URL, out.Host = &u, ""
	return out
}

// cutRealm finds the realm of a Bearer challenge, and what is before and after it.
func cutRealm(challenge string) (realm string, rest [2]string, ok bool) {
	scheme, _, _ := strings.Cut(challenge, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", rest, false
	}
	at := strings.Index(strings.ToLower(challenge), `realm="`)
	if at < 0 {
		return "", rest, false
	}
	at += len(`realm="`)
	realm, after, ok := strings.Cut(challenge[at:], `"`)
	return realm, [2]string{challenge[:at], `"` + after}, ok && !strings.Contains(realm, `\`)
}

// carrier is the network of carrier-grade NAT (RFC 6598).
var carrier = netip.MustParsePrefix("100.64.0.0/10")

// private says whether an address is one of a private network, or this machine's.
func private(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return false
	}
	ip := tcp.AddrPort().Addr().Unmap()
	return ip.IsPrivate() || ip.IsLoopback() || carrier.Contains(ip)
}

// linkLocal says whether a host is an address such as that of a cloud's metadata.
func linkLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLinkLocalUnicast()
}
