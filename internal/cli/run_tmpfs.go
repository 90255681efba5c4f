package cli

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox"
)

// parseTmpfs reads --tmpfs: "/path[:size=64m,mode=1777,exec]". As in docker,
// nothing on it can be executed unless it says exec.
func parseTmpfs(list []string) ([]sandbox.Mount, error) {
	var out []sandbox.Mount
	for _, s := range list {
		target, options, _ := strings.Cut(s, ":")
		m := sandbox.Mount{Kind: sandbox.Tmpfs, Target: path.Clean(target), Mode: 0o1777, NoExec: true, NoDev: true}
		if !path.IsAbs(target) || m.Target == "/" {
			return nil, fmt.Errorf("--tmpfs %q: %w: it is an absolute path below /", s, errs.ErrInvalid)
		}
		for o := range strings.SplitSeq(options, ",") {
			if err := tmpfsOption(&m, o); err != nil {
				return nil, fmt.Errorf("--tmpfs %q: %w", s, err)
			}
		}
		out = append(out, m)
	}
	return out, nil
}

func tmpfsOption(m *sandbox.Mount, o string) (err error) {
	key, value, _ := strings.Cut(o, "=")
	switch key {
	case "size":
		m.Size, err = parseSize("size", value)
		return err
	case "mode":
		mode, err := strconv.ParseUint(value, 8, 12)
		if err != nil {
			return fmt.Errorf("mode %q: %w: it is octal", value, errs.ErrInvalid)
		}
		m.Mode = uint32(mode)
	case "uid", "gid", "nr_inodes", "nr_blocks":
		if _, err := strconv.ParseUint(strings.TrimRight(value, "kmgKMG"), 10, 32); err != nil {
			return fmt.Errorf("%s %q: %w: it is a number", key, value, errs.ErrInvalid)
		}
		m.Options = append(m.Options, o)
	case "ro", "rw":
		m.ReadOnly = key == "ro"
	case "exec", "noexec":
		m.NoExec = key == "noexec"
	case "dev", "nodev":
		m.NoDev = key == "nodev"
	case "", "nosuid", "atime", "relatime": // how it is anyway
	default:
		return fmt.Errorf("option %q: %w", o, errs.ErrUnsupported)
	}
	return nil
}
