package cli

import (
	"os/exec"
	"slices"
	"strings"

	"github.com/mica-build/mica/internal/dockerconfig"
)

// dockerConfig checks docker's config.json and the helpers it names.
func (d *doctor) dockerConfig() {
	c, err := dockerconfig.Load(d.app.configDir)
	if err != nil {
		d.fail("docker config", "Correct the file, or move it away.", "%v", err)
		return
	}
	var missing []string
	for _, h := range c.Helpers() {
		if _, err := exec.LookPath("docker-credential-" + h); err != nil {
			missing = append(missing, "docker-credential-"+h)
		}
	}
	if len(missing) > 0 {
		d.fail("docker config", "Install them, or take credsStore and credHelpers out of "+c.Path()+".",
			"%s names helpers that are not installed: %s", c.Path(), strings.Join(missing, " "))
		return
	}
	d.ok("docker config", "%s: %d registries, helpers: %s", c.Path(), len(c.Hosts()), orNone(c.Helpers()))
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " ")
}

// configured are the registries in docker's configuration besides Docker Hub.
func (d *doctor) configured() []string {
	c, err := dockerconfig.Load(d.app.configDir)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(c.Hosts(), func(h string) bool {
		return h == "" || h == "docker.io" || strings.HasSuffix(h, ".docker.io")
	})
}
