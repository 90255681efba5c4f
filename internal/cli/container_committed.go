package cli

import (
	"slices"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/image"
)

// committed is the config of an image that is made of a container: the image's, with what
// the container was made with.
func committed(c *record.Container) image.Config {
	out := c.Of
	p := inspectConfig(c)
	out.Config.User, out.Config.WorkingDir = p.User, p.WorkingDir
	out.Config.Env, out.Config.Cmd, out.Config.Entrypoint = p.Env, p.Cmd, p.Entrypoint
	out.Config.Labels, out.Config.StopSignal = c.Labels, p.StopSignal
	out.Config.ExposedPorts = p.ExposedPorts
	if out.Config.WorkingDir == "/" && c.Of.Config.WorkingDir == "" {
		out.Config.WorkingDir = ""
	}
	// docker's default PATH is not the image's.
	out.Config.Env = slices.DeleteFunc(slices.Clone(out.Config.Env), func(kv string) bool {
		return kv == defaultContainerPath && !slices.Contains(c.Of.Config.Env, kv)
	})
	out.Config.Healthcheck = nil
	if h := c.Health; h != nil {
		out.Config.Healthcheck = &dockerspec.HealthcheckConfig{
			Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, StartInterval: h.StartInterval, Retries: h.Retries,
		}
	}
	return out
}

const defaultContainerPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
