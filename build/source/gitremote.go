package source

import (
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode"

	"github.com/moby/buildkit/util/gitutil"

	"github.com/mica-build/mica/errs"
)

// A remote is a git repository's address.
type remote struct {
	scheme string // http, https, ssh, git or file
	host   string // with port, as written; empty for file
	url    string // what git is given: no password, and for HTTP no user
	basic  string // "user:password" that the URL held, HTTP only
}

// parseRemote accepts the transports that BuildKit does, as URL or in scp's
// form, and where local is set also file:// URLs and absolute paths. What git
// would take for an option or for a helper's name ("ext::…") is refused.
func parseRemote(raw string, local bool) (remote, error) {
	if strings.ContainsFunc(raw, unicode.IsControl) {
		return remote{}, fmt.Errorf("git remote holds control characters: %w", errs.ErrInvalid)
	}
	if p, ok := localPath(raw); ok {
		if !local {
			return remote{}, fmt.Errorf("git remote %s: repositories on this machine are not allowed: %w", raw, errs.ErrUnsupported)
		}
		return remote{scheme: "file", url: "file://" + path.Clean(p)}, nil
	}
	u, err := gitutil.ParseURL(raw)
	if err != nil {
		return remote{}, fmt.Errorf("git remote %s: want an http, https, ssh or git URL: %w", redactURL(raw), errs.ErrInvalid)
	}
	r := remote{scheme: u.Scheme, host: u.Host, url: u.Remote}
	if strings.HasPrefix(u.Host, "-") || u.Host == "" || strings.HasPrefix(u.User.Username(), "-") {
		return remote{}, fmt.Errorf("git remote %s: strange host or user: %w", redactURL(raw), errs.ErrInvalid)
	}
	if u.User != nil && strings.Contains(u.Remote, "://") {
		err = r.splitUser(u)
	}
	return r, err
}

// splitUser takes out of the URL what must not reach git's arguments.
func (r *remote) splitUser(u *gitutil.GitURL) error {
	parsed, err := url.Parse(u.Remote)
	if err != nil {
		return fmt.Errorf("git remote %s: %w", redactURL(u.Remote), errs.ErrInvalid)
	}
	switch u.Scheme {
	case gitutil.SSHProtocol:
		parsed.User = url.User(u.User.Username())
	case gitutil.HTTPProtocol, gitutil.HTTPSProtocol:
		password, _ := u.User.Password()
		r.basic = u.User.Username() + ":" + password
		parsed.User = nil
	default:
		parsed.User = nil
	}
	r.url = parsed.String()
	return nil
}

func localPath(raw string) (string, bool) {
	if p, ok := strings.CutPrefix(raw, "file://"); ok {
		return p, strings.HasPrefix(p, "/")
	}
	return raw, strings.HasPrefix(raw, "/")
}

// server is the URL of the whole server, the scope of what holds for a host.
func (r remote) server() string { return r.scheme + "://" + r.host + "/" }

func (r remote) http() bool {
	return r.scheme == gitutil.HTTPProtocol || r.scheme == gitutil.HTTPSProtocol
}

// submodule resolves the URL of a submodule of r. One that starts with ./ or
// ../ is relative to r, as in gitmodules(5); a local repository is reached only
// in this way and only from a local one.
func (r remote) submodule(raw string) (remote, error) {
	if !strings.HasPrefix(raw, "./") && !strings.HasPrefix(raw, "../") {
		return parseRemote(raw, false)
	}
	base, sep := strings.TrimRight(r.url, "/"), "/"
	for rest := raw; ; {
		if after, ok := strings.CutPrefix(rest, "./"); ok {
			rest = after
			continue
		}
		after, ok := strings.CutPrefix(rest, "../")
		if !ok {
			sub, err := parseRemote(base+sep+strings.TrimRight(rest, "/"), r.scheme == "file")
			if err == nil && sub.host == r.host {
				sub.basic = r.basic
			}
			return sub, err
		}
		rest = after
		if base, sep, ok = parentURL(base); !ok {
			return remote{}, fmt.Errorf("submodule URL %s climbs out of %s: %w", redactURL(raw), r.url, errs.ErrInvalid)
		}
	}
}

// parentURL cuts the last element off a URL's or scp address's path and says
// which separator leads to a sibling.
func parentURL(u string) (parent, sep string, ok bool) {
	i := strings.LastIndexAny(u, "/:")
	if i <= 0 || strings.HasSuffix(u[:i], "/") || strings.HasSuffix(u[:i], ":") {
		return "", "", false
	}
	if _, rest, isURL := strings.Cut(u[:i], "://"); isURL && rest == "" {
		return "", "", false
	}
	if u[i] == ':' && strings.Contains(u, "://") {
		return "", "", false
	}
	return u[:i], u[i : i+1], true
}
