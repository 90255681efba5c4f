package cli

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/internal/ui/format"
	"github.com/mica-build/mica/registry/hosts"
	"github.com/mica-build/mica/registry/remote"
)

// A hostsConfig is how registries are reached, read from its files when that is first
// asked: most commands never do.
type hostsConfig struct {
	offline bool // --offline
	once    sync.Once
	c       *hosts.Config
	err     error
}

func (h *hostsConfig) load() (*hosts.Config, error) {
	h.once.Do(func() {
		o := hosts.Standard()
		if h.offline {
			o.Offline = "--offline"
		}
		h.c, h.err = hosts.Load(o)
	})
	return h.c, h.err
}

// Mirrors lists where to look for a repository first.
func (h *hostsConfig) Mirrors(domain, path string) ([]remote.Mirror, error) {
	c, err := h.load()
	if err != nil {
		return nil, err
	}
	return c.Mirrors(domain, path)
}

// Host is how a host is talked to.
func (h *hostsConfig) Host(name string) (remote.Host, error) {
	c, err := h.load()
	if err != nil {
		return remote.Host{}, err
	}
	return c.Host(name)
}

// Offline says that nothing may be asked, and who says so.
func (h *hostsConfig) Offline() (string, bool) {
	c, err := h.load()
	if err != nil {
		return "--offline", h.offline
	}
	return c.Offline()
}

// tagTTL is how long a tag is believed to stand for what it stood for.
func (h *hostsConfig) tagTTL() time.Duration {
	c, err := h.load()
	if err != nil {
		return 0
	}
	return c.TagTTL()
}

func defaultOffline() bool {
	b, _ := strconv.ParseBool(os.Getenv("MICA_OFFLINE"))
	return b
}

func newConfigCmd(a *app) *cobra.Command {
	return group("config", "Show the configuration", newConfigShowCmd(a))
}

func newConfigShowCmd(a *app) *cobra.Command {
	var spec string
	cmd := &cobra.Command{
		Use:   "show [OPTIONS]",
		Short: "Show what is in force, and which file says so",
		Long: `Show how registries are reached, and which file says so: mica.toml (in the directory
of the user's configuration, then in /etc/mica; MICA_CONFIG names another), and, where
they exist, docker's daemon.json, containerd's hosts.toml and podman's registries.conf.`,
		Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			c, err := a.hosts.load()
			if err != nil {
				return err
			}
			if spec == "" {
				for _, s := range c.Settings() {
					fmt.Fprintf(a.stdout, "%s = %s  # %s\n", s.Key, s.Value, s.From)
				}
				return nil
			}
			return format.Rows(a.stdout, spec, "{{.Key}}\t{{.Value}}\t{{.From}}", c.Settings())
		},
	}
	cmd.Flags().StringVar(&spec, "format", "", formatHelp)
	return cmd
}
