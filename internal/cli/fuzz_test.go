package cli

import (
	"strings"
	"testing"
	"time"
)

// FuzzBuildFlags reads the flags of build that have a form of their own.
func FuzzBuildFlags(f *testing.F) {
	for _, s := range []string{
		"A=1", "=x", "A", "index,manifest[linux/amd64]:a=b", "alpine::linux/amd64=docker-image://x", "a=https://x", "network.host,security.insecure",
		"linux/amd64,local", "\"a,b\"=c", "check,format=json", "id=x,src=y", "default=/x,/y",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		one := []string{s}
		env := func(string) (string, bool) { return "value", true }
		if m, err := parseBuildArgs(one, env); err == nil {
			if name, _, _ := strings.Cut(s, "="); name != "" && len(m) == 0 {
				t.Errorf("no argument from %q", s)
			}
		}
		_, _ = parseLabels(one)
		_, _ = parseAnnotations(one)
		_, _ = parseBuildPlatforms(one, env)
		_, _ = parseBuildContexts(one)
		_, _ = parseSSH(one, env)
		_, _ = parseCall(s, false)
		if list, err := parseAllow(one); err == nil {
			for _, a := range list {
				if a != entitlementHost && a != entitlementInsecure {
					t.Errorf("%q allows %q", s, a)
				}
			}
		}
	})
}

// FuzzRunFlags reads the flags of run that have a form of their own.
func FuzzRunFlags(f *testing.F) {
	for _, s := range []string{"/a:/b:ro", "a:/b:rw,z", "/a:size=1m,mode=1777", "nofile=1:2", "db:[::1]", "db:host-gateway", "1g", "-1", "name=a", "until=1h", "9999999999999g"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		one := []string{s}
		if mounts, _, err := parseVolumes(one); err == nil {
			for _, m := range mounts {
				if !strings.HasPrefix(m.Target, "/") || !strings.HasPrefix(m.Source, "/") {
					t.Errorf("%q mounts %q at %q", s, m.Source, m.Target)
				}
			}
		}
		_, _ = parseTmpfs(one)
		_, _ = parseUlimits(one)
		_, _ = parseAddHost(s)
		_, _ = parseSize("memory", s)
		_, _ = parseFilters(one, "name", "until")
		_, _ = parseCacheFilter(one, time.Unix(1<<30, 0))
		_, _ = parsePlatforms(one)
	})
}
