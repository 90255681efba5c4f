//go:build linux

package container

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/sandbox"
)

// defaultPath is the PATH of an image that sets none, as in docker.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Options say how an image is run. The zero value runs it as its config says.
type Options struct {
	// Command replaces the image's command.
	Command []string
	// Entrypoint replaces the image's entrypoint and drops its command; a
	// pointer to "" only drops both. nil keeps the image's.
	Entrypoint *string
	// Env are KEY=value; a later one replaces an earlier one and the image's.
	Env []string
	// User and Dir replace the image's user and working directory; "" keeps them.
	User, Dir string
	// Volumes are directories that can be written to even when the root cannot,
	// besides those of the image.
	Volumes []string
	// Layer is where what is written is kept; nil throws it away at the end.
	Layer *Layer `json:"-"`
	// Mounted, if it is not nil, is told of the mounted root before the command starts.
	// The root is good until the container ends.
	Mounted func(root *os.File) error `json:"-"`
	// Sandbox holds what is used as it is: hostname, mounts, network, limits,
	// capabilities and streams. Root, Args, Env, Dir and User are filled in.
	Sandbox sandbox.Spec
}

// A Layer is the writable layer of a container that is kept: Upper in overlay form, and
// Work for overlayfs on the same filesystem. A container that ends leaves both as they
// are for the next time.
type Layer struct{ Upper, Work string }

// spec joins the image's config and the options to what the sandbox runs. The
// root and the volumes are still to be mounted.
func (o Options) spec(c image.Config) (*sandbox.Spec, error) {
	s := o.Sandbox
	s.Mounts = slices.Clone(s.Mounts)
	s.Args = o.Args(c)
	if len(s.Args) == 0 {
		return nil, fmt.Errorf("no command specified: %w", errs.ErrInvalid)
	}
	if s.Args[0] == "" {
		return nil, &sandbox.ExitError{Code: 127, Err: errors.New(`exec "": executable file not found in $PATH`)}
	}
	s.Env = o.env(c)
	s.User = c.Config.User
	if o.User != "" {
		s.User = o.User
	}
	s.Dir = c.Config.WorkingDir
	if o.Dir != "" {
		s.Dir = o.Dir
	}
	if s.Dir == "" {
		s.Dir = "/"
	}
	if !path.IsAbs(s.Dir) {
		return nil, fmt.Errorf("working directory %q is not absolute: %w", s.Dir, errs.ErrInvalid)
	}
	return &s, nil
}

// Process is what a further process in the container has like the first one: environment,
// user, directory, groups, capabilities and limits.
func (o Options) Process(c image.Config) sandbox.Spec {
	s := o.Sandbox
	s.Env, s.User, s.Dir = o.env(c), c.Config.User, c.Config.WorkingDir
	if o.User != "" {
		s.User = o.User
	}
	if o.Dir != "" {
		s.Dir = o.Dir
	}
	return s
}

// Args is entrypoint and command, as the image and the options say.
func (o Options) Args(c image.Config) []string {
	entrypoint, command := c.Config.Entrypoint, c.Config.Cmd
	if o.Entrypoint != nil {
		entrypoint, command = nil, nil
		if *o.Entrypoint != "" {
			entrypoint = []string{*o.Entrypoint}
		}
	}
	if len(o.Command) > 0 {
		command = o.Command
	}
	return slices.Concat(entrypoint, command)
}

// env is the environment: docker's own variables, then the image's, then the
// options', each key once and where it was first set.
func (o Options) env(c image.Config) []string {
	env := []string{defaultPath, "HOSTNAME=" + o.Sandbox.Hostname}
	if o.Sandbox.Terminal {
		env = append(env, "TERM=xterm")
	}
	at := map[string]int{}
	for i, kv := range env {
		at[envKey(kv)] = i
	}
	for _, kv := range slices.Concat(c.Config.Env, o.Env) {
		if i, ok := at[envKey(kv)]; ok {
			env[i] = kv
			continue
		}
		at[envKey(kv)] = len(env)
		env = append(env, kv)
	}
	return env
}

func envKey(kv string) string {
	key, _, _ := strings.Cut(kv, "=")
	return key
}

// volumes lists the directories that need a volume of their own, sorted: those
// of the image and of the options where nothing else is mounted.
func (o Options) volumes(c image.Config) []string {
	var out []string
	add := func(v string) {
		v = path.Clean("/" + v)
		mounted := slices.ContainsFunc(o.Sandbox.Mounts, func(m sandbox.Mount) bool { return path.Clean(m.Target) == v })
		if v != "/" && !mounted && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	for v := range c.Config.Volumes {
		add(v)
	}
	for _, v := range o.Volumes {
		add(v)
	}
	slices.Sort(out)
	return out
}
