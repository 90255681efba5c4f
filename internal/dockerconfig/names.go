package dockerconfig

import (
	"maps"
	"slices"
)

// Helpers names the credential helpers that the file asks for, sorted:
// docker-credential-NAME is the program of each.
func (c *Config) Helpers() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := slices.Collect(maps.Values(c.settings.CredHelpers))
	if c.settings.CredsStore != "" {
		names = append(names, c.settings.CredsStore)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Hosts names the registries that the file has credentials or a helper for, sorted.
func (c *Config) Hosts() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var hosts []string
	for k := range c.settings.Auths {
		hosts = append(hosts, hostOf(k))
	}
	for k := range c.settings.CredHelpers {
		hosts = append(hosts, hostOf(k))
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
