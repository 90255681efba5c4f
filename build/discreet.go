package build

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/history"
	"github.com/mica-build/mica/build/solve"
)

// withoutUser gives an address without the user and password in it, for the
// record.
func withoutUser(address string) string {
	return solve.Redact(address)
}

// discreet gives build arguments for the record: of those that may hold a
// secret, enough to see that they changed.
func discreet(args map[string]string) map[string]string {
	out := make(map[string]string, len(args))
	for name, value := range args {
		if history.Secret(name) || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			value = digest.FromString(value).Encoded()[:8]
		}
		out[name] = solve.Redact(value)
	}
	return out
}
