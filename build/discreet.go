package build

import (
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/history"
)

// withoutUser gives an address without the user and password in it, for the
// record. What is no URL is as it was.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" || u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}

// discreet gives build arguments for the record: of those that may hold a
// secret, enough to see that they changed.
func discreet(args map[string]string) map[string]string {
	out := make(map[string]string, len(args))
	for name, value := range args {
		if history.Secret(name) || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			value = digest.FromString(value).Encoded()[:8]
		}
		out[name] = value
	}
	return out
}
