package platform

import (
	"fmt"
	"runtime"

	"github.com/containerd/platforms"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// Default is the platform of this machine, normalized. On amd64 the variant is
// the plain one, as images are commonly made for it.
func Default() image.Platform {
	p := platforms.Normalize(platforms.DefaultSpec())
	if p.Architecture == "amd64" {
		p.Variant = ""
	}
	return image.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
}

// Runnable says whether programs for p run here; the error says why not and
// what to install. It matches errs.ErrUnsupported.
func Runnable(p image.Platform) error {
	p = platforms.Normalize(p)
	if err := runnable(p); err != nil {
		return fmt.Errorf("platform %s: %w: %w", platforms.FormatAll(p), errs.ErrUnsupported, err)
	}
	return nil
}

func runnable(p image.Platform) error {
	if p.OS != "linux" || runtime.GOOS != "linux" {
		return fmt.Errorf("build steps run on Linux")
	}
	if p.Architecture == runtime.GOARCH {
		return checkVariant(p)
	}
	if compatible(p.Architecture) && starts(p.Architecture) {
		return nil
	}
	state := lookup(binfmtDir, p.Architecture)
	if state == ready || state == unknown && starts(p.Architecture) {
		return nil
	}
	const instead = ", or start from FROM --platform=$BUILDPLATFORM"
	switch state {
	case disabled:
		return fmt.Errorf("the kernel's interpreter for %s programs is switched off: echo 1 > %s/status", p.Architecture, binfmtDir)
	case unfixed:
		return fmt.Errorf("the kernel's interpreter for %s programs cannot be found inside a container, since it was registered without flag F: apt-get install --reinstall qemu-user-static binfmt-support%s", p.Architecture, instead)
	}
	return fmt.Errorf("this machine is %s and its kernel has no interpreter for %s programs: apt-get install qemu-user-static binfmt-support%s",
		platforms.FormatAll(Default()), p.Architecture, instead)
}

// Supported lists the platforms besides Default whose programs run here, as far
// as that can be told without trying.
func Supported() []image.Platform {
	var out []image.Platform
	for _, arch := range architectures {
		if arch == runtime.GOARCH || !compatible(arch) && lookup(binfmtDir, arch) != ready {
			continue
		}
		out = append(out, platforms.Normalize(image.Platform{OS: "linux", Architecture: arch}))
	}
	return out
}

// architectures are those of common images, the commonest first.
var architectures = []string{"amd64", "arm64", "386", "arm", "riscv64", "ppc64le", "s390x", "loong64", "mips64le", "mips64"}

// compatible says whether this machine's processors commonly run arch too. Some
// do not, and some kernels are built without it.
func compatible(arch string) bool {
	return runtime.GOARCH == "amd64" && arch == "386" || runtime.GOARCH == "arm64" && arch == "arm"
}
