//go:build linux

package seccomp

import (
	"fmt"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Profile is docker's default profile for a process with these capabilities
// ("CAP_CHOWN") in its bounding set, on this kernel and architecture.
func Profile(caps []string) (*specs.LinuxSeccomp, error) {
	p, err := seccomp.GetDefaultProfile(&specs.Spec{Process: &specs.Process{
		Capabilities: &specs.LinuxCapabilities{Bounding: caps},
	}})
	if err != nil {
		return nil, fmt.Errorf("seccomp profile: %w", err)
	}
	return p, nil
}

// Default compiles Profile(caps).
func Default(caps []string) (Filter, error) {
	p, err := Profile(caps)
	if err != nil {
		return nil, err
	}
	return Compile(p)
}

// Load compiles a profile in docker's JSON format for a process with these capabilities.
func Load(profile string, caps []string) (Filter, error) {
	p, err := seccomp.LoadProfile(profile, &specs.Spec{Process: &specs.Process{
		Capabilities: &specs.LinuxCapabilities{Bounding: caps},
	}})
	if err != nil {
		return nil, fmt.Errorf("seccomp profile: %w", err)
	}
	if len(p.Architectures) == 0 { // it is this machine's that is meant
		d, err := Profile(caps)
		if err != nil {
			return nil, err
		}
		p.Architectures = d.Architectures
	}
	return Compile(p)
}
