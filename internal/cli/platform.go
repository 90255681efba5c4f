package cli

import (
	"fmt"
	"os"

	"github.com/containerd/platforms"

	"github.com/mica-build/mica/image"
)

// defaultPlatform is DOCKER_DEFAULT_PLATFORM, or zero for this machine's.
func defaultPlatform() (image.Platform, error) {
	s := os.Getenv("DOCKER_DEFAULT_PLATFORM")
	if s == "" {
		return image.Platform{}, nil
	}
	p, err := platforms.Parse(s)
	if err != nil {
		return p, fmt.Errorf("DOCKER_DEFAULT_PLATFORM %q: %w", s, err)
	}
	return platforms.Normalize(p), nil
}

// parsePlatforms reads the values of --platform.
func parsePlatforms(list []string) ([]image.Platform, error) {
	var out []image.Platform
	for _, s := range list {
		p, err := platforms.Parse(s)
		if err != nil {
			return nil, fmt.Errorf("--platform %q: %w", s, err)
		}
		out = append(out, platforms.Normalize(p))
	}
	return out, nil
}
