package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/container/volume"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox"
)

// A mountFlag is one --mount, as typed.
type mountFlag struct {
	kind, source, target string
	readOnly, recursive  bool
	size, mode           string
	noCopy               bool
	only                 map[string]string // keys that only one type of mount has, and which
}

// parseMounts reads --mount: fields of comma-separated values, "key=value".
func parseMounts(list []string) (mounts []sandbox.Mount, volumes []record.Volume, err error) {
	for _, s := range list {
		f, err := parseMount(s)
		if err == nil && f.kind == "volume" {
			var v record.Volume
			if v, err = f.volume(); err == nil {
				volumes = append(volumes, v)
				continue
			}
		}
		var m sandbox.Mount
		if err == nil {
			m, err = f.mount()
		}
		if err != nil {
			return nil, nil, fmt.Errorf("--mount %q: %w", s, err)
		}
		mounts = append(mounts, m)
	}
	return mounts, volumes, nil
}

func parseMount(s string) (mountFlag, error) {
	fields, err := csv.NewReader(strings.NewReader(s)).Read()
	if err != nil {
		return mountFlag{}, fmt.Errorf("%w: %w", errs.ErrInvalid, err)
	}
	f := mountFlag{kind: "volume", recursive: true, only: map[string]string{}}
	for _, field := range fields {
		key, value, hasValue := strings.Cut(field, "=")
		if err := f.set(strings.ToLower(key), value, hasValue); err != nil {
			return f, err
		}
	}
	return f, nil
}

// volume is a mount of type volume.
func (f *mountFlag) volume() (record.Volume, error) {
	v := record.Volume{Name: f.source, Target: path.Clean(f.target), ReadOnly: f.readOnly, NoCopy: f.noCopy}
	if err := f.check(); err != nil {
		return v, err
	}
	if v.Name == "" {
		return v, nil
	}
	return v, volume.CheckName(v.Name)
}

func (f *mountFlag) set(key, value string, hasValue bool) (err error) {
	if value == "" && key != "readonly" && key != "ro" && key != "volume-nocopy" {
		return fmt.Errorf("%q: %w: it is key=value", key, errs.ErrInvalid)
	}
	switch key {
	case "type":
		f.kind = strings.ToLower(value)
	case "source", "src":
		f.source = value
	case "target", "dst", "destination":
		f.target = value
	case "readonly", "ro":
		f.readOnly = true
		if hasValue {
			f.readOnly, err = strconv.ParseBool(value)
		}
	case "consistency": // for other systems
	case "bind-propagation":
		f.only[key] = "bind"
		if value != "private" && value != "rprivate" {
			return fmt.Errorf("%s=%s: %w: there is rprivate", key, value, errs.ErrUnsupported)
		}
	case "bind-recursive":
		f.only[key] = "bind"
		return f.setRecursive(value)
	case "bind-nonrecursive":
		f.only[key] = "bind"
		var not bool
		not, err = strconv.ParseBool(value)
		f.recursive = !not
	case "volume-nocopy":
		f.only[key], f.noCopy = "volume", true
		if hasValue {
			f.noCopy, err = strconv.ParseBool(value)
		}
	case "tmpfs-size":
		f.only[key], f.size = "tmpfs", value
	case "tmpfs-mode":
		f.only[key], f.mode = "tmpfs", value
	default:
		return fmt.Errorf("unexpected key %q: %w", key, errs.ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w: it is true or false", key, value, errs.ErrInvalid)
	}
	return nil
}

func (f *mountFlag) setRecursive(value string) error {
	switch value {
	case "enabled", "writable", "readonly":
	case "disabled":
		f.recursive = false
	default:
		return fmt.Errorf("bind-recursive=%s: %w: it is enabled, disabled, writable or readonly", value, errs.ErrInvalid)
	}
	return nil
}

// check looks at what all types have.
func (f *mountFlag) check() error {
	for key, kind := range f.only {
		if kind != f.kind {
			return fmt.Errorf("%s: %w: only a mount of type %s has it", key, errs.ErrInvalid, kind)
		}
	}
	switch {
	case f.target == "":
		return fmt.Errorf("%w: the target is missing", errs.ErrInvalid)
	case !path.IsAbs(f.target) || path.Clean(f.target) == "/":
		return fmt.Errorf("target %q: %w: it is an absolute path below /", f.target, errs.ErrInvalid)
	}
	return nil
}

func (f *mountFlag) mount() (sandbox.Mount, error) {
	m := sandbox.Mount{Target: path.Clean(f.target), ReadOnly: f.readOnly}
	if err := f.check(); err != nil {
		return m, err
	}
	switch f.kind {
	case "bind":
		return m, f.bind(&m)
	case "tmpfs":
		return m, f.tmpfs(&m)
	case "image", "npipe", "cluster":
		return m, fmt.Errorf("type %s: %w yet: there are bind, volume and tmpfs", f.kind, errs.ErrUnsupported)
	}
	return m, fmt.Errorf("type %q: %w: there are bind, volume and tmpfs", f.kind, errs.ErrInvalid)
}

// bind has to find its source: unlike -v, --mount makes none.
func (f *mountFlag) bind(m *sandbox.Mount) error {
	if f.source == "" {
		return fmt.Errorf("%w: the source is missing", errs.ErrInvalid)
	}
	if strings.HasPrefix(f.source, ".") {
		abs, err := filepath.Abs(f.source)
		if err != nil {
			return err
		}
		f.source = abs
	}
	if !filepath.IsAbs(f.source) {
		return fmt.Errorf("source %q: %w: it is an absolute path", f.source, errs.ErrInvalid)
	}
	if _, err := os.Stat(f.source); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("bind source path does not exist: %s", f.source)
	} else if err != nil {
		return err
	}
	m.Kind, m.Source, m.Recursive = sandbox.Bind, f.source, f.recursive
	return nil
}

func (f *mountFlag) tmpfs(m *sandbox.Mount) (err error) {
	if f.source != "" {
		return fmt.Errorf("source: %w: a tmpfs has none", errs.ErrInvalid)
	}
	m.Kind, m.Mode, m.NoExec, m.NoDev = sandbox.Tmpfs, 0o1777, true, true
	if m.Size, err = parseSize("tmpfs-size", f.size); err != nil {
		return err
	}
	if f.mode == "" {
		return nil
	}
	mode, err := strconv.ParseUint(f.mode, 8, 12)
	if err != nil {
		return fmt.Errorf("tmpfs-mode %q: %w: it is octal", f.mode, errs.ErrInvalid)
	}
	m.Mode = uint32(mode)
	return nil
}

// checkTargets refuses two mounts in one place.
func checkTargets(mounts []sandbox.Mount) error {
	seen := map[string]string{}
	for _, m := range mounts {
		if source, ok := seen[m.Target]; ok && (m.Kind != sandbox.Bind || source != m.Source) {
			return fmt.Errorf("duplicate mount point: %s: %w", m.Target, errs.ErrInvalid)
		}
		seen[m.Target] = m.Source
	}
	return nil
}
