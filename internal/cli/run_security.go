package cli

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox"
)

// parseSecurity reads --security-opt.
func parseSecurity(s *sandbox.Spec, list []string) error {
	for _, opt := range list {
		key, value, hasValue := strings.Cut(opt, "=")
		if !hasValue {
			key, value, hasValue = strings.Cut(opt, ":") // docker's older form
		}
		var err error
		switch key {
		case "no-new-privileges":
			s.NoNewPrivs = true
			if hasValue {
				s.NoNewPrivs, err = strconv.ParseBool(value)
			}
		case "seccomp":
			err = setSeccomp(s, value)
		case "systempaths":
			if value != "unconfined" {
				err = fmt.Errorf("%w: it is unconfined", errs.ErrInvalid)
			}
			s.OpenSystem = true
		case "apparmor", "label":
			// mica puts no such confinement on containers.
			if value != "unconfined" && value != "disable" {
				err = fmt.Errorf("%w: mica has neither AppArmor profiles nor SELinux labels", errs.ErrUnsupported)
			}
		default:
			err = fmt.Errorf("%w: there are no-new-privileges, seccomp and systempaths", errs.ErrInvalid)
		}
		if err != nil {
			return fmt.Errorf("--security-opt %q: %w", opt, err)
		}
	}
	return nil
}

func setSeccomp(s *sandbox.Spec, value string) error {
	switch value {
	case "unconfined":
		s.Seccomp = sandbox.Unconfined
		return nil
	case "builtin", "":
		s.Seccomp = ""
		return nil
	}
	raw, err := os.ReadFile(value)
	if err != nil {
		return fmt.Errorf("opening seccomp profile (%s) failed: %w", value, err)
	}
	s.Seccomp = string(raw)
	return nil
}

// ownSysctls are those that a container may have of its own, as in docker.
var ownSysctls = []string{
	"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
}

// parseSysctls reads --sysctl.
func parseSysctls(list []string, network sandbox.NetworkMode) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if !ok || strings.Contains(name, "/") || strings.Contains(name, "..") {
			return nil, fmt.Errorf("--sysctl %q: %w: it is name=value", s, errs.ErrInvalid)
		}
		switch {
		case strings.HasPrefix(name, "net.") && network == sandbox.Host:
			return nil, fmt.Errorf("--sysctl %q: %w in the host's network", s, errs.ErrInvalid)
		case strings.HasPrefix(name, "net."), strings.HasPrefix(name, "fs.mqueue."), slices.Contains(ownSysctls, name):
			out[name] = value
		default:
			return nil, fmt.Errorf("sysctl %q is not allowed: %w: it is the host's", s, errs.ErrInvalid)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}
