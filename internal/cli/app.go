package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/term"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/sandbox/rootless"
	"github.com/mica-build/mica/store"
)

// An app is what all commands share: the streams, the global flags, and the
// engine, which is opened by the first command that asks for it.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	root      string // --root
	configDir string // --config
	debug     bool   // --debug
	durable   bool   // --durable
	hosts     hostsConfig

	eng       *engine.Engine
	collector *engine.Collector // with eng
	steps     stepSettings
}

// engine opens the engine on the chosen store.
func (a *app) engine() (*engine.Engine, error) {
	if a.eng != nil {
		return a.eng, nil
	}
	p, err := defaultPlatform()
	if err != nil {
		return nil, err
	}
	so, err := a.storeOptions()
	if err != nil {
		return nil, err
	}
	e, err := engine.Open(a.root, engine.Options{Platform: p, Registry: a.registry(), Store: so})
	if errors.Is(err, os.ErrPermission) {
		return nil, withHint(err, "Run as root, or choose a store of your own with --root or MICA_ROOT.")
	}
	if err != nil {
		return nil, err
	}
	if err := a.checkUsers(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	a.eng = e
	return e, nil
}

// store opens the engine and gives the store below it.
func (a *app) store() (*store.Store, error) {
	e, err := a.engine()
	if err != nil {
		return nil, err
	}
	return e.Store(), nil
}

func (a *app) close() error {
	if a.eng == nil {
		return nil
	}
	a.closeCollector()
	return a.eng.Close()
}

// warn prints a warning.
func (a *app) warn(format string, args ...any) {
	fmt.Fprintf(a.stderr, "WARNING: "+format+"\n", args...)
}

// isTerminal says whether a stream (a reader or a writer) is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// defaultRoot is where the store is unless the user says otherwise.
func defaultRoot() string {
	if r := os.Getenv("MICA_ROOT"); r != "" {
		return r
	}
	if k := rootless.Inside(); k == rootless.All || k == "" && os.Geteuid() == 0 {
		return "/var/lib/mica"
	}
	if d := os.Getenv("XDG_DATA_HOME"); d != "" {
		return filepath.Join(d, "mica")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "/var/lib/mica"
	}
	return filepath.Join(home, ".local", "share", "mica")
}

// defaultConfigDir is where docker's config.json is unless the user says otherwise.
func defaultConfigDir() string {
	if d := os.Getenv("DOCKER_CONFIG"); d != "" {
		return d
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "/root/.docker"
	}
	return filepath.Join(home, ".docker")
}
