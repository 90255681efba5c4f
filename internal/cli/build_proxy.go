package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A dockerConfig is what mica itself reads of docker's config.json; credentials
// are read where registries are talked to.
type dockerConfig struct {
	Proxies map[string]proxies `json:"proxies"`
}

// proxies are the settings for one engine; mica goes by those called default.
type proxies struct {
	HTTP  string `json:"httpProxy"`
	HTTPS string `json:"httpsProxy"`
	No    string `json:"noProxy"`
	FTP   string `json:"ftpProxy"`
	All   string `json:"allProxy"`
}

// dockerConfig reads config.json. One that cannot be read is a warning, as in docker.
func (a *app) dockerConfig() dockerConfig {
	c, err := readDockerConfig(filepath.Join(a.configDir, "config.json"))
	if err != nil {
		a.warn("%v", err)
	}
	return c
}

func readDockerConfig(file string) (dockerConfig, error) {
	var c dockerConfig
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read docker config: %w", err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return dockerConfig{}, fmt.Errorf("read docker config %s: %w", file, err)
	}
	return c, nil
}

// addProxies adds the proxies to a build's arguments, or a container's
// environment, under upper and lower case names that are not taken.
func (c dockerConfig) addProxies(env map[string]string) {
	p := c.Proxies["default"]
	for name, value := range map[string]string{
		"HTTP_PROXY": p.HTTP, "HTTPS_PROXY": p.HTTPS, "NO_PROXY": p.No, "FTP_PROXY": p.FTP, "ALL_PROXY": p.All,
	} {
		for _, key := range []string{name, strings.ToLower(name)} {
			if _, taken := env[key]; !taken && value != "" {
				env[key] = value
			}
		}
	}
}
