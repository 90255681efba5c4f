package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/container/volume"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox"
)

// parseVolumes reads -v: "/host:/container[:options]" is a bind mount,
// "name:/container[:options]" a volume and "/container" one without a name.
func parseVolumes(list []string) (mounts []sandbox.Mount, volumes []record.Volume, err error) {
	for _, s := range list {
		source, rest, bind := strings.Cut(s, ":")
		if !bind {
			if !path.IsAbs(s) || path.Clean(s) == "/" {
				return nil, nil, fmt.Errorf("--volume %q: %w: the path in the container is not absolute", s, errs.ErrInvalid)
			}
			volumes = append(volumes, record.Volume{Target: path.Clean(s)})
			continue
		}
		if !strings.HasPrefix(source, "/") && !strings.HasPrefix(source, ".") {
			v, err := parseNamed(source, rest)
			if err != nil {
				return nil, nil, fmt.Errorf("--volume %q: %w", s, err)
			}
			volumes = append(volumes, v)
			continue
		}
		m, err := parseBind(source, rest)
		if err != nil {
			return nil, nil, fmt.Errorf("--volume %q: %w", s, err)
		}
		mounts = append(mounts, m)
	}
	return mounts, volumes, nil
}

// parseNamed reads a volume with a name.
func parseNamed(name, rest string) (record.Volume, error) {
	target, options, _ := strings.Cut(rest, ":")
	v := record.Volume{Name: name, Target: path.Clean(target)}
	if err := volume.CheckName(name); err != nil {
		return v, err
	}
	if !path.IsAbs(target) || v.Target == "/" {
		return v, fmt.Errorf("target %q: %w: it is an absolute path below /", target, errs.ErrInvalid)
	}
	for o := range strings.SplitSeq(options, ",") {
		switch o {
		case "ro", "readonly":
			v.ReadOnly = true
		case "nocopy":
			v.NoCopy = true
		case "", "rw", "z", "Z", "consistent", "cached", "delegated":
		default:
			return v, fmt.Errorf("option %q: %w", o, errs.ErrUnsupported)
		}
	}
	return v, nil
}

func parseBind(source, rest string) (sandbox.Mount, error) {
	target, options, _ := strings.Cut(rest, ":")
	m := sandbox.Mount{Kind: sandbox.Bind, Target: path.Clean(target), Recursive: true}
	switch {
	case !path.IsAbs(target) || m.Target == "/":
		return m, fmt.Errorf("target %q: %w: it is an absolute path below /", target, errs.ErrInvalid)
	case strings.HasPrefix(source, "."):
		abs, err := filepath.Abs(source)
		if err != nil {
			return m, err
		}
		source = abs
	}
	m.Source = source
	for o := range strings.SplitSeq(options, ",") {
		switch o {
		case "ro", "readonly":
			m.ReadOnly = true
		case "", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated", "rprivate", "private":
		default:
			return m, fmt.Errorf("option %q: %w", o, errs.ErrUnsupported)
		}
	}
	return m, nil
}

// makeSources makes the directories that bind mounts name and that are not
// there, as docker does.
func makeSources(mounts []sandbox.Mount) error {
	for _, m := range mounts {
		if m.Kind != sandbox.Bind || m.SourceFile != nil {
			continue
		}
		if _, err := os.Stat(m.Source); errors.Is(err, fs.ErrNotExist) {
			err = os.MkdirAll(m.Source, 0o755)
			if err != nil {
				return fmt.Errorf("volume: %w", err)
			}
		} else if err != nil {
			return fmt.Errorf("volume: %w", err)
		}
	}
	return nil
}
