package dockerconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/mica-build/mica/internal/atomicfile"
)

// change sets host's entry in the file, or removes all that are host's if e is
// nil. The file is read again first: others change it too. c.mu is held.
func (c *Config) change(host string, e *entry) error {
	raw, err := c.read()
	if err != nil {
		return err
	}
	doc := map[string]json.RawMessage{}
	auths := map[string]json.RawMessage{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &doc); err != nil {
			return fmt.Errorf("change %s: %w", c.path, jsonError(err))
		}
	}
	if a := doc["auths"]; len(a) > 0 {
		if err := json.Unmarshal(a, &auths); err != nil {
			return fmt.Errorf("change %s: auths: %w", c.path, jsonError(err))
		}
	}
	if auths == nil { // "auths": null
		auths = map[string]json.RawMessage{}
	}
	maps.DeleteFunc(auths, func(k string, _ json.RawMessage) bool { return k == key(host) || key(hostOf(k)) == key(host) })
	if e != nil {
		if auths[key(host)], err = json.Marshal(e); err != nil {
			return err
		}
	}
	if doc["auths"], err = json.Marshal(auths); err != nil {
		return err
	}
	out, err := json.MarshalIndent(doc, "", "\t")
	if err != nil {
		return err
	}
	if err := c.write(out); err != nil {
		return err
	}
	c.settings, err = parse(out)
	return err
}

// write replaces the file, or what it is a link to, by one that only its owner reads.
func (c *Config) write(data []byte) error {
	path := c.path
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("change %s: %w", c.path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("change docker's configuration: %w", err)
	}
	return atomicfile.Write(path, data, atomicfile.Options{Perm: 0o600})
}
