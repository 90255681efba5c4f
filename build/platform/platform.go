// Package platform says which platforms' programs this machine can run: its
// own, what its processor runs besides, and what the kernel hands to an
// interpreter such as qemu (binfmt_misc).
//
// Source: https://docs.kernel.org/admin-guide/binfmt-misc.html
package platform

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/containerd/platforms"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// binfmtDir is where the kernel lists its interpreters.
const binfmtDir = "/proc/sys/fs/binfmt_misc"

// qemuNames are the architectures that Debian's qemu-user-static knows, by the
// name that its binfmt entry carries.
var qemuNames = map[string]string{
	"386":      "i386",
	"amd64":    "x86_64",
	"arm":      "arm",
	"arm64":    "aarch64",
	"loong64":  "loongarch64",
	"mips":     "mips",
	"mips64":   "mips64",
	"mips64le": "mips64el",
	"mipsle":   "mipsel",
	"ppc64le":  "ppc64le",
	"riscv64":  "riscv64",
	"s390x":    "s390x",
}

// Default is the platform of this machine, normalized. On amd64 and arm the
// variant is the plain one, as images are commonly made for it.
func Default() image.Platform {
	p := platforms.Normalize(platforms.DefaultSpec())
	if p.Architecture == "amd64" {
		p.Variant = ""
	}
	return image.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
}

// Runnable says whether programs for p run here; the error says what to install.
// It matches errs.ErrUnsupported.
func Runnable(p image.Platform) error {
	p = platforms.Normalize(p)
	if p.OS != "linux" {
		return fmt.Errorf("platform %s: %w: build steps run on Linux", platforms.FormatAll(p), errs.ErrUnsupported)
	}
	if native(p) || interpreted(binfmtDir, p.Architecture) {
		return nil
	}
	return fmt.Errorf("platform %s: %w: this machine is %s and its kernel has no interpreter for %s programs: apt-get install qemu-user-static binfmt-support, or start from FROM --platform=$BUILDPLATFORM",
		platforms.FormatAll(p), errs.ErrUnsupported, platforms.FormatAll(Default()), p.Architecture)
}

// Supported lists the platforms besides Default whose programs run here.
func Supported() []image.Platform {
	var out []image.Platform
	for _, arch := range architectures {
		p := image.Platform{OS: "linux", Architecture: arch}
		if arch == Default().Architecture || !native(p) && !interpreted(binfmtDir, arch) {
			continue
		}
		out = append(out, platforms.Normalize(p))
	}
	return out
}

var architectures = []string{"amd64", "arm64", "386", "arm", "riscv64", "ppc64le", "s390x", "loong64", "mips64le", "mips64"}

// native says whether the processor itself runs p.
func native(p image.Platform) bool {
	if p.Architecture == runtime.GOARCH {
		return p.Architecture != "amd64" || p.Variant == "" || amd64Level(p.Variant) <= cpuLevel()
	}
	return runtime.GOARCH == "amd64" && p.Architecture == "386"
}

// cpuLevel is asked once; the processor does not change.
var cpuLevel = sync.OnceValue(func() int {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return 1
	}
	return levelOf(string(raw))
})

// levels are the flags that each x86-64 level adds (psABI section 3.1.1).
var levels = [][]string{
	{"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"},
	{"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"},
	{"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}

func levelOf(cpuinfo string) int {
	flags := map[string]bool{}
	for _, line := range strings.Split(cpuinfo, "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "flags" {
			for _, f := range strings.Fields(v) {
				flags[f] = true
			}
			break
		}
	}
	for i, need := range levels {
		for _, f := range need {
			if !flags[f] {
				return i + 1
			}
		}
	}
	return len(levels) + 1
}

func amd64Level(variant string) int {
	switch variant {
	case "v2":
		return 2
	case "v3":
		return 3
	case "v4":
		return 4
	}
	return 1
}

// interpreted says whether an enabled binfmt entry in dir runs arch. The
// interpreter must be loaded by the kernel beforehand (flag F) to be found
// inside a container.
func interpreted(dir, arch string) bool {
	name, ok := qemuNames[arch]
	if !ok {
		return false
	}
	if on, err := os.ReadFile(filepath.Join(dir, "status")); err != nil || strings.TrimSpace(string(on)) != "enabled" {
		return false
	}
	raw, err := os.ReadFile(filepath.Join(dir, "qemu-"+name))
	if err != nil {
		return false
	}
	enabled, fixed := false, false
	for _, line := range strings.Split(string(raw), "\n") {
		enabled = enabled || line == "enabled"
		if f, ok := strings.CutPrefix(line, "flags:"); ok {
			fixed = strings.Contains(f, "F")
		}
	}
	return enabled && fixed
}
