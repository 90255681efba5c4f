package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"

	"github.com/mica-build/mica/errs"
)

// argSourceDateEpoch is the build argument that settles the times of an image.
const argSourceDateEpoch = "SOURCE_DATE_EPOCH"

// The entitlements of --allow.
const (
	entitlementHost     = "network.host"
	entitlementInsecure = "security.insecure"
	entitlementDelete   = "buildx.local.delete"
)

// parseBuildArgs reads --build-arg. A name without a value is taken from the
// environment, or left out if it is not there; SOURCE_DATE_EPOCH is taken from
// there unasked.
func parseBuildArgs(list []string, env lookupFunc) (map[string]string, error) {
	out := map[string]string{}
	if v, ok := env(argSourceDateEpoch); ok && v != "" {
		out[argSourceDateEpoch] = v
	}
	for _, s := range list {
		key, value, ok := strings.Cut(s, "=")
		if key == "" {
			return nil, fmt.Errorf("--build-arg %q: %w: the name is missing", s, errs.ErrInvalid)
		}
		if !ok {
			if value, ok = env(key); !ok {
				continue
			}
		}
		out[key] = value
	}
	return out, nil
}

// parseLabels reads --label: "key=value", or "key" for an empty value.
func parseLabels(list []string) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	for _, s := range list {
		key, value, _ := strings.Cut(s, "=")
		if key == "" {
			return nil, fmt.Errorf("--label %q: %w: the key is missing", s, errs.ErrInvalid)
		}
		out[key] = value
	}
	return out, nil
}

// parseAnnotations checks that each --annotation is "[type:]key=value"; what the
// types mean is the engine's.
func parseAnnotations(list []string) ([]string, error) {
	for _, s := range list {
		if key, _, ok := strings.Cut(s, "="); !ok || key == "" || strings.HasSuffix(key, ":") {
			return nil, fmt.Errorf("--annotation %q: %w: it is [TYPE[PLATFORM]:]KEY=VALUE", s, errs.ErrInvalid)
		}
	}
	return list, nil
}

// parseBuildPlatforms reads --platform, or else DOCKER_DEFAULT_PLATFORM. The
// word local stays as it is.
func parseBuildPlatforms(list []string, env lookupFunc) ([]string, error) {
	if len(list) == 0 {
		if v, _ := env("DOCKER_DEFAULT_PLATFORM"); v != "" {
			list = []string{v}
		}
	}
	var out []string
	for _, s := range splitCommas(list) {
		if s != "local" {
			p, err := platforms.Parse(s)
			if err != nil {
				return nil, fmt.Errorf("--platform %q: %w: %w", s, errs.ErrInvalid, err)
			}
			s = platforms.FormatAll(platforms.Normalize(p))
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

// parseBuildContexts reads --build-context: "name=where". Names are normalized
// as image references are, so that alpine and docker.io/library/alpine:latest
// are one; NAME::PLATFORM is for one platform.
func parseBuildContexts(list []string) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	for _, s := range list {
		name, where, ok := strings.Cut(s, "=")
		if !ok || name == "" || where == "" {
			return nil, fmt.Errorf("--build-context %q: %w: it is NAME=PATH or NAME=URL", s, errs.ErrInvalid)
		}
		name, platform, forPlatform := strings.Cut(name, "::")
		named, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			return nil, fmt.Errorf("--build-context %q: name: %w: %w", s, errs.ErrInvalid, err)
		}
		name = strings.TrimSuffix(reference.FamiliarString(named), ":latest")
		if forPlatform {
			if _, err := platforms.Parse(platform); err != nil {
				return nil, fmt.Errorf("--build-context %q: platform: %w: %w", s, errs.ErrInvalid, err)
			}
			name += "::" + platform
		}
		if err := checkContext(where); err != nil {
			return nil, fmt.Errorf("--build-context %q: %w", s, err)
		}
		out[name] = where
	}
	return out, nil
}

// checkContext reports what cannot be a named context at once, before a build starts.
func checkContext(where string) error {
	switch {
	case where == "-":
		return fmt.Errorf("%w: standard input can only be the main context", errs.ErrUnsupported)
	case strings.HasPrefix(where, "target:"):
		return fmt.Errorf("target: %w here: it belongs to bake", errs.ErrUnsupported)
	case strings.Contains(where, "://"), isRemoteContext(where):
		return nil
	}
	fi, err := os.Stat(filepath.Clean(where))
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return fmt.Errorf("%s is not a directory: %w", where, errs.ErrInvalid)
	}
	return nil
}

// isRemoteContext knows the remote contexts that are written without a scheme.
func isRemoteContext(where string) bool {
	if _, err := os.Stat(where); err == nil {
		return false
	}
	return strings.HasPrefix(where, "git@") || strings.HasPrefix(where, "github.com/")
}

// parseAllow reads --allow.
func parseAllow(list []string) ([]string, error) {
	var out []string
	for _, s := range splitCommas(list) {
		switch s {
		case entitlementHost, entitlementInsecure:
			out = append(out, s)
		case entitlementDelete: // concerns --output, and is used there
		default:
			if s == "device" || strings.HasPrefix(s, "device=") {
				return nil, fmt.Errorf("--allow %s: %w: mica gives no host devices to a build", s, errs.ErrUnsupported)
			}
			return nil, fmt.Errorf("--allow %q: %w: it is %s, %s or %s", s, errs.ErrInvalid, entitlementHost, entitlementInsecure, entitlementDelete)
		}
	}
	return out, nil
}

// parseBuildNetwork reads --network of a build.
func parseBuildNetwork(s string) (string, error) {
	switch s {
	case "", "default", "bridge":
		return "", nil
	case "none", "host":
		return s, nil
	}
	return "", fmt.Errorf("--network %q: %w: a build has default, none or host", s, errs.ErrUnsupported)
}

// checkTags reports names an image cannot have.
func checkTags(tags []string) error {
	for _, t := range tags {
		named, err := reference.ParseNormalizedNamed(t)
		if err != nil {
			return fmt.Errorf("invalid tag %q: %w", t, err)
		}
		if _, ok := named.(reference.Canonical); ok {
			return fmt.Errorf("invalid tag %q: a name with a digest cannot be given to an image: %w", t, errs.ErrInvalid)
		}
		if reference.FamiliarName(named) == "scratch" {
			return fmt.Errorf("invalid tag %q: scratch is a reserved name: %w", t, errs.ErrInvalid)
		}
	}
	return nil
}

// splitCommas gives the words of flags that may be repeated and hold several.
func splitCommas(list []string) []string {
	var out []string
	for _, s := range list {
		for w := range strings.SplitSeq(s, ",") {
			if w = strings.TrimSpace(w); w != "" {
				out = append(out, w)
			}
		}
	}
	return out
}

// isOff says whether an attestation flag asks for nothing.
func isOff(s string) bool {
	switch strings.ToLower(s) {
	case "", "0", "f", "false":
		return true
	}
	fields, err := splitCSV(s)
	return err == nil && slices.Contains(fields, "disabled=true")
}

// allDisabled says whether each --attest only switches one off.
func allDisabled(list []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return s == "" || !isOff(s) })
}
