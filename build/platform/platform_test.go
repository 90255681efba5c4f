package platform

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

func TestInterpreted(t *testing.T) {
	tests := []struct {
		name   string
		status string
		entry  string
		want   bool
	}{
		{"ready", "enabled\n", "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\n", true},
		{"not preloaded", "enabled\n", "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OC\n", false},
		{"entry off", "enabled\n", "disabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: F\n", false},
		{"all off", "disabled\n", "enabled\nflags: F\n", false},
		{"no entry", "enabled\n", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, s string) {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			write("status", tt.status)
			if tt.entry != "" {
				write("qemu-aarch64", tt.entry)
			}
			if got := interpreted(dir, "arm64"); got != tt.want {
				t.Errorf("interpreted = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRunnable(t *testing.T) {
	if err := Runnable(Default()); err != nil {
		t.Errorf("own platform: %v", err)
	}
	err := Runnable(image.Platform{OS: "windows", Architecture: runtime.GOARCH})
	if !errors.Is(err, errs.ErrUnsupported) {
		t.Errorf("windows: %v, want ErrUnsupported", err)
	}
	err = Runnable(image.Platform{OS: "linux", Architecture: "sparc"})
	if !errors.Is(err, errs.ErrUnsupported) || !strings.Contains(err.Error(), "qemu-user-static") {
		t.Errorf("sparc: %v, want an error that names the package", err)
	}
}

func TestLevelOf(t *testing.T) {
	v2 := "flags\t\t: fpu cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3"
	tests := []struct {
		name, in string
		want     int
	}{
		{"nothing", "", 1},
		{"v2", v2, 2},
		{"v3", v2 + " avx avx2 bmi1 bmi2 f16c fma abm movbe xsave", 3},
		{"v4", v2 + " avx avx2 bmi1 bmi2 f16c fma abm movbe xsave avx512f avx512bw avx512cd avx512dq avx512vl", 4},
		{"v4 flags without v3", v2 + " avx512f avx512bw avx512cd avx512dq avx512vl", 2},
	}
	for _, tt := range tests {
		if got := levelOf(tt.in); got != tt.want {
			t.Errorf("%s: level %d, want %d", tt.name, got, tt.want)
		}
	}
}
