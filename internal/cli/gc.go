package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/store"
)

// The environment that bounds the build cache.
const (
	envGC        = "MICA_GC"                // on, off
	envGCMaxUsed = "MICA_GC_MAX_USED_SPACE" // "10GB", "20%"
	envGCReserve = "MICA_GC_RESERVED_SPACE"
	envGCMinFree = "MICA_GC_MIN_FREE_SPACE"
	envGCKeep    = "MICA_GC_KEEP_DURATION" // "720h"
)

// storeOptions are how the store is to be opened.
func (a *app) storeOptions() (store.Options, error) {
	g, err := gcOptions(os.LookupEnv)
	if err != nil {
		return store.Options{}, err
	}
	a.collector = engine.NewCollector(g)
	return store.Options{Durable: a.durable, Committed: a.collector.Committed}, nil
}

// closeCollector keeps the cache within its bounds a last time. What was to be
// done is done: that it fails is worth a warning.
func (a *app) closeCollector() {
	if a.collector == nil {
		return
	}
	if err := a.collector.Close(); err != nil {
		a.warn("%v", err)
	}
}

// gcOptions reads the environment.
func gcOptions(env lookupFunc) (engine.GC, error) {
	var g engine.GC
	switch v, _ := env(envGC); strings.ToLower(v) {
	case "", "on", "1", "true":
	case "off", "0", "false":
		g.Off = true
	default:
		return g, fmt.Errorf("%s=%s: %w: it is on or off", envGC, v, errs.ErrInvalid)
	}
	for name, to := range map[string]*engine.Space{
		envGCMaxUsed: &g.MaxUsedSpace, envGCReserve: &g.ReservedSpace, envGCMinFree: &g.MinFreeSpace,
	} {
		v, ok := env(name)
		if !ok || v == "" {
			continue
		}
		s, err := parseSpace(v)
		if err != nil {
			return g, fmt.Errorf("%s=%s: %w", name, v, err)
		}
		*to = s
	}
	if v, ok := env(envGCKeep); ok && v != "" {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			return g, fmt.Errorf("%s=%s: %w: it should be like 720h", envGCKeep, v, errs.ErrInvalid)
		}
		g.KeepDuration = d
	}
	return g, nil
}

// parseSpace reads "10GB" or "20%" of the disk.
func parseSpace(s string) (engine.Space, error) {
	if n, ok := strings.CutSuffix(s, "%"); ok {
		p, err := strconv.ParseInt(n, 10, 64)
		if err != nil || p <= 0 || p > 100 {
			return engine.Space{}, fmt.Errorf("%w: a part of the disk is 1%% to 100%%", errs.ErrInvalid)
		}
		return engine.Space{Percent: p}, nil
	}
	n, err := units.RAMInBytes(s)
	if err != nil || n < 0 {
		return engine.Space{}, fmt.Errorf("%w: it should be like 10GB or 20%%", errs.ErrInvalid)
	}
	return engine.Space{Bytes: n}, nil
}

// defaultDurable is whether the store survives power loss unless a flag says so.
func defaultDurable() bool {
	v, err := strconv.ParseBool(os.Getenv("MICA_DURABLE"))
	return err == nil && v
}
