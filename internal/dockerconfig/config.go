package dockerconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/mica-build/mica/errs"
)

// fileName is the file in docker's configuration directory.
const fileName = "config.json"

// maxFile is far more than anybody's configuration.
const maxFile = 8 << 20

// Config is docker's configuration.
type Config struct {
	path string
	env  string // the value of DOCKER_AUTH_CONFIG

	mu       sync.Mutex
	settings settings
}

// settings are what we read of the file.
type settings struct {
	Auths       map[string]entry  `json:"auths"`
	CredsStore  string            `json:"credsStore"`
	CredHelpers map[string]string `json:"credHelpers"`
	HTTPHeaders map[string]string `json:"HttpHeaders"`
	Proxies     map[string]Proxy  `json:"proxies"`

	ImagesFormat  string `json:"imagesFormat"`
	PsFormat      string `json:"psFormat"`
	HistoryFormat string `json:"historyFormat"`
}

// Proxy is what "proxies" says for a daemon's host, or by default.
type Proxy struct {
	HTTPProxy  string `json:"httpProxy"`
	HTTPSProxy string `json:"httpsProxy"`
	NoProxy    string `json:"noProxy"`
	FTPProxy   string `json:"ftpProxy"`
	AllProxy   string `json:"allProxy"`
}

// Dir is docker's configuration directory: $DOCKER_CONFIG, or ~/.docker.
func Dir() (string, error) {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find docker's configuration: %w", err)
	}
	return filepath.Join(home, ".docker"), nil
}

// Load reads the configuration in dir; "" is Dir(). A file that is not there is
// as good as an empty one.
func Load(dir string) (*Config, error) {
	if dir == "" {
		var err error
		if dir, err = Dir(); err != nil {
			return nil, err
		}
	}
	c := &Config{path: filepath.Join(dir, fileName), env: os.Getenv("DOCKER_AUTH_CONFIG")}
	return c, c.load()
}

// LoadFile reads a file of the same form, such as podman's auth.json. The environment
// has no say. A file that is not there is as good as an empty one.
func LoadFile(path string) (*Config, error) {
	c := &Config{path: path}
	return c, c.load()
}

func (c *Config) load() error {
	raw, err := c.read()
	if err != nil {
		return err
	}
	if c.settings, err = parse(raw); err != nil {
		return fmt.Errorf("read %s: %w", c.path, err)
	}
	return nil
}

// Path is the file.
func (c *Config) Path() string { return c.path }

// HTTPHeaders are to be sent with every request to a registry.
func (c *Config) HTTPHeaders() map[string]string { return c.settings.HTTPHeaders }

// ProxyFor is what is configured for a daemon's host, else for "default".
func (c *Config) ProxyFor(host string) Proxy {
	if p, ok := c.settings.Proxies[host]; ok && host != "" {
		return p
	}
	return c.settings.Proxies["default"]
}

// Format is the default --format of "images", "ps" or "history".
func (c *Config) Format(command string) string {
	switch command {
	case "images":
		return c.settings.ImagesFormat
	case "ps":
		return c.settings.PsFormat
	case "history":
		return c.settings.HistoryFormat
	}
	return ""
}

// read gives the file's bytes, nil if there is none.
func (c *Config) read() ([]byte, error) {
	st, err := os.Stat(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && (!st.Mode().IsRegular() || st.Size() > maxFile) {
		err = errs.ErrInvalid
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", c.path, err)
	}
	return os.ReadFile(c.path)
}

// parse reads a configuration. Its errors quote nothing of it.
func parse(raw []byte) (settings, error) {
	var s settings
	if len(raw) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return settings{}, jsonError(err)
	}
	return s, nil
}

// jsonError says where JSON is wrong, and not what stands there.
func jsonError(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%w: not JSON, at byte %d", errs.ErrInvalid, syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Errorf("%w: %s may not be a %s", errs.ErrInvalid, kind.Field, kind.Value)
	}
	return fmt.Errorf("%w: not JSON", errs.ErrInvalid)
}
