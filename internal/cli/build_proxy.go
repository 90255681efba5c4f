package cli

import (
	"strings"

	"github.com/mica-build/mica/internal/dockerconfig"
)

// proxies reads the proxies of docker's config.json. One that cannot be read is
// a warning, as in docker.
func (a *app) proxies() dockerconfig.Proxy {
	c, err := dockerconfig.Load(a.configDir)
	if err != nil {
		a.warn("%v", err)
		return dockerconfig.Proxy{}
	}
	return c.ProxyFor("")
}

// addProxies adds proxies to a build's arguments, or a container's environment,
// under upper and lower case names that are not taken.
func addProxies(env map[string]string, p dockerconfig.Proxy) {
	for name, value := range map[string]string{
		"HTTP_PROXY": p.HTTPProxy, "HTTPS_PROXY": p.HTTPSProxy, "NO_PROXY": p.NoProxy, "FTP_PROXY": p.FTPProxy, "ALL_PROXY": p.AllProxy,
	} {
		for _, key := range []string{name, strings.ToLower(name)} {
			if _, taken := env[key]; !taken && value != "" {
				env[key] = value
			}
		}
	}
}
