package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/mica-build/mica/build"
	"github.com/mica-build/mica/errs"
)

// maxSecret is the most bytes a secret may have, as in BuildKit.
const maxSecret = 500 << 10

// parseSecrets reads the values of --secret and looks whether the secrets are there.
func parseSecrets(list []string, env lookupFunc) ([]build.Secret, error) {
	var out []build.Secret
	for _, s := range list {
		secret, err := parseSecret(s)
		if err != nil {
			return nil, fmt.Errorf("--secret %q: %w", s, err)
		}
		if err := findSecret(&secret, env); err != nil {
			return nil, fmt.Errorf("secret %s: %w", secret.ID, err)
		}
		out = append(out, secret)
	}
	return out, nil
}

// parseSecret reads "id=name,type=file|env,src=path,env=variable". With neither
// src nor env both are empty.
func parseSecret(s string) (build.Secret, error) {
	fields, err := splitCSV(s)
	if err != nil {
		return build.Secret{}, err
	}
	var out build.Secret
	kind := ""
	for _, f := range fields {
		key, value, ok := strings.Cut(f, "=")
		if !ok {
			return out, fmt.Errorf("%w: %q is not key=value", errs.ErrInvalid, f)
		}
		switch strings.ToLower(key) {
		case "id":
			out.ID = value
		case "type":
			if value != "file" && value != "env" {
				return out, fmt.Errorf("type %q: %w: it is file or env", value, errs.ErrInvalid)
			}
			kind = value
		case "src", "source":
			out.File = value
		case "env":
			out.Env = value
		default:
			return out, fmt.Errorf("key %q: %w: it is one of id, type, src, env", key, errs.ErrInvalid)
		}
	}
	return settleSecret(out, kind)
}

func settleSecret(s build.Secret, kind string) (build.Secret, error) {
	switch {
	case s.ID == "":
		return s, fmt.Errorf("id is missing: %w", errs.ErrInvalid)
	case kind == "env" && s.Env == "":
		s.Env, s.File = s.File, ""
		if s.Env == "" {
			s.Env = s.ID
		}
	case kind == "file" && s.File == "" && s.Env == "":
		s.File = s.ID
	}
	if s.File != "" && s.Env != "" {
		return s, fmt.Errorf("%w: both a file and a variable are named", errs.ErrInvalid)
	}
	return s, nil
}

// findSecret settles where a secret comes from that says only its id: the
// variable of that name if there is one, or the file. It reports what is not there.
func findSecret(s *build.Secret, env lookupFunc) error {
	if s.File == "" && s.Env == "" {
		if _, ok := env(s.ID); ok {
			s.Env = s.ID
		} else {
			s.File = s.ID
		}
	}
	if s.Env != "" {
		if _, ok := env(s.Env); !ok {
			return fmt.Errorf("variable %s: %w in the environment", s.Env, errs.ErrNotFound)
		}
		return nil
	}
	fi, err := os.Stat(s.File)
	switch {
	case err != nil:
		return err
	case fi.IsDir():
		return fmt.Errorf("%s is a directory: %w", s.File, errs.ErrInvalid)
	case fi.Size() > maxSecret:
		return fmt.Errorf("%s: %w: %d bytes, the limit is %d", s.File, errs.ErrTooLarge, fi.Size(), maxSecret)
	}
	return nil
}

// parseSSH reads the values of --ssh: "default", "id", "id=socket" or "id=key,key".
func parseSSH(list []string, env lookupFunc) ([]build.SSH, error) {
	var out []build.SSH
	seen := map[string]bool{}
	for _, s := range list {
		id, paths, given := strings.Cut(s, "=")
		if id == "" || given && paths == "" {
			return nil, fmt.Errorf("--ssh %q: %w: it is ID or ID=PATH[,PATH]", s, errs.ErrInvalid)
		}
		if seen[id] {
			return nil, fmt.Errorf("--ssh %q: id %s is given twice: %w", s, id, errs.ErrInvalid)
		}
		seen[id] = true
		entry := build.SSH{ID: id}
		if given {
			entry.Paths = strings.Split(paths, ",")
		} else if sock, _ := env("SSH_AUTH_SOCK"); sock == "" {
			return nil, withHint(fmt.Errorf("--ssh %s: no ssh agent: SSH_AUTH_SOCK is not set", s),
				"Start one with: eval $(ssh-agent); ssh-add. Or name a key: --ssh "+id+"=$HOME/.ssh/id_ed25519")
		}
		for _, p := range entry.Paths {
			if _, err := os.Stat(p); err != nil {
				return nil, fmt.Errorf("--ssh %s: %w", s, err)
			}
		}
		out = append(out, entry)
	}
	return out, nil
}
