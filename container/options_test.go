//go:build linux

package container

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/sandbox"
)

// config is an image's config with an entrypoint and a command.
func config(entrypoint, cmd []string) image.Config {
	var c image.Config
	c.Config.Entrypoint, c.Config.Cmd = entrypoint, cmd
	return c
}

func TestArgs(t *testing.T) {
	str := func(s string) *string { return &s }
	both := config([]string{"/entry", "-v"}, []string{"serve"})
	tests := []struct {
		name   string
		config image.Config
		o      Options
		want   []string
	}{
		{"the image's", both, Options{}, []string{"/entry", "-v", "serve"}},
		{"command", both, Options{Command: []string{"ls", "/"}}, []string{"/entry", "-v", "ls", "/"}},
		{"entrypoint drops the command", both, Options{Entrypoint: str("/sh")}, []string{"/sh"}},
		{"entrypoint and command", both, Options{Entrypoint: str("/sh"), Command: []string{"-c", "id"}}, []string{"/sh", "-c", "id"}},
		{"no entrypoint", both, Options{Entrypoint: str(""), Command: []string{"id"}}, []string{"id"}},
		{"only a command", config(nil, []string{"sh"}), Options{}, []string{"sh"}},
		{"command instead", config(nil, []string{"sh"}), Options{Command: []string{"id"}}, []string{"id"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := tt.o.spec(tt.config)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, s.Args); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNothingToRun(t *testing.T) {
	empty := ""
	for name, o := range map[string]Options{
		"neither":          {},
		"entrypoint reset": {Entrypoint: &empty},
	} {
		c := config(nil, nil)
		if o.Entrypoint != nil {
			c = config([]string{"/entry"}, []string{"serve"})
		}
		if _, err := o.spec(c); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("%s: error %v, want errs.ErrInvalid", name, err)
		}
	}
}

func TestEnv(t *testing.T) {
	c := config(nil, []string{"sh"})
	c.Config.Env = []string{"PATH=/bin", "A=image", "B=image"}
	tests := []struct {
		name string
		o    Options
		want []string
	}{
		{"the image's", Options{}, []string{"PATH=/bin", "HOSTNAME=box", "A=image", "B=image"}},
		{"replaced in place", Options{Env: []string{"A=1", "C=2", "A=3", "EMPTY="}}, []string{"PATH=/bin", "HOSTNAME=box", "A=3", "B=image", "C=2", "EMPTY="}},
		{"terminal", Options{Sandbox: sandbox.Spec{Terminal: true}}, []string{"PATH=/bin", "HOSTNAME=box", "TERM=xterm", "A=image", "B=image"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Sandbox.Hostname = "box"
			s, err := tt.o.spec(c)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, s.Env); diff != "" {
				t.Error(diff)
			}
		})
	}
	s, err := Options{}.spec(config(nil, []string{"sh"}))
	if err != nil || s.Env[0] != defaultPath {
		t.Errorf("an image without PATH gets %v, %v", s.Env, err)
	}
}

func TestUserAndDir(t *testing.T) {
	c := config(nil, []string{"sh"})
	c.Config.User, c.Config.WorkingDir = "app", "/srv"
	tests := []struct {
		name            string
		config          image.Config
		o               Options
		wantUser, wantD string
	}{
		{"the image's", c, Options{}, "app", "/srv"},
		{"replaced", c, Options{User: "0:0", Dir: "/tmp"}, "0:0", "/tmp"},
		{"none", config(nil, []string{"sh"}), Options{}, "", "/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := tt.o.spec(tt.config)
			if err != nil {
				t.Fatal(err)
			}
			if s.User != tt.wantUser || s.Dir != tt.wantD {
				t.Errorf("user %q in %q, want %q in %q", s.User, s.Dir, tt.wantUser, tt.wantD)
			}
		})
	}
	if _, err := (Options{Dir: "tmp"}).spec(c); !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("a relative working directory: error %v, want errs.ErrInvalid", err)
	}
}

func TestVolumes(t *testing.T) {
	c := config(nil, []string{"sh"})
	c.Config.Volumes = map[string]struct{}{"/data/": {}, "/cache": {}, "/bound": {}, "/": {}}
	o := Options{Volumes: []string{"/more", "/cache"}}
	o.Sandbox.Mounts = []sandbox.Mount{{Target: "/bound"}}
	if diff := cmp.Diff([]string{"/cache", "/data", "/more"}, o.volumes(c)); diff != "" {
		t.Error(diff)
	}
}
