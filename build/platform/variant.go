package platform

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/containerd/platforms"

	"github.com/mica-build/mica/image"
)

// checkVariant says why this machine, though of the same architecture, is not
// enough for p.
func checkVariant(p image.Platform) error {
	switch p.Architecture {
	case "amd64":
		want := amd64Level(p.Variant)
		if want == 1 {
			return nil
		}
		raw, err := os.ReadFile("/proc/cpuinfo")
		if err != nil {
			return fmt.Errorf("level of this processor: %w", err)
		}
		if have := levelOf(string(raw)); have < want {
			return fmt.Errorf("this processor is of level v%d", have)
		}
	case "arm":
		// One digit, so that they compare as strings.
		if have := platforms.Normalize(platforms.DefaultSpec()).Variant; runtime.GOARCH == "arm" && p.Variant > have {
			return fmt.Errorf("this processor is of version %s", have)
		}
	}
	return nil
}

// levels are the flags that each x86-64 level adds (psABI section 3.1.1), as
// /proc/cpuinfo spells them.
var levels = [][]string{
	{"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"},
	{"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"},
	{"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}

// levelOf reads the level, 1 to 4, off the flags of the first processor.
func levelOf(cpuinfo string) int {
	flags := map[string]bool{}
	for line := range strings.SplitSeq(cpuinfo, "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "flags" {
			for f := range strings.FieldsSeq(v) {
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
