package platform

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

func TestLookup(t *testing.T) {
	const (
		arm64 = "offset 0\nmagic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n"
		s390x = "offset 0\nmagic 7f454c4602020100000000000000000000020016\nmask ffffffffffffff00fffffffffffffffffffeffff\n"
	)
	tests := []struct {
		name    string
		status  string
		entries map[string]string
		want    binfmtState
	}{
		{name: "ready", status: "enabled", entries: map[string]string{"qemu-aarch64": "enabled\ninterpreter /q\nflags: OCF\n" + arm64}, want: ready},
		{name: "another name", status: "enabled", entries: map[string]string{"rosetta-like": "enabled\nflags: F\n" + arm64}, want: ready},
		{name: "another architecture", status: "enabled", entries: map[string]string{"qemu-aarch64": "enabled\nflags: F\n" + s390x}, want: missing},
		{name: "not preloaded", status: "enabled", entries: map[string]string{"q": "enabled\nflags: OC\n" + arm64}, want: unfixed},
		{name: "one of two is ready", status: "enabled", entries: map[string]string{"a": "enabled\nflags: F\n" + arm64, "b": "enabled\nflags: \n" + arm64}, want: ready},
		{name: "entry off", status: "enabled", entries: map[string]string{"q": "disabled\nflags: F\n" + arm64}, want: disabled},
		{name: "all off", status: "disabled", entries: map[string]string{"q": "enabled\nflags: F\n" + arm64}, want: disabled},
		{name: "by extension", status: "enabled", entries: map[string]string{"q": "enabled\nflags: F\nextension .arm64\n"}, want: missing},
		{name: "malformed", status: "enabled", entries: map[string]string{"q": "enabled\nflags: F\noffset 0\nmagic 7x\n"}, want: missing},
		{name: "nothing registered", status: "enabled", want: missing},
		{name: "not mounted", want: unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, s string) {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if tt.status != "" {
				write("status", tt.status+"\n")
				write("register", "")
			}
			for name, s := range tt.entries {
				write(name, s)
			}
			if got := lookup(dir, "arm64"); got != tt.want {
				t.Errorf("state %d, want %d", got, tt.want)
			}
		})
	}
}

func TestHeader(t *testing.T) {
	for arch, m := range machines {
		f, err := elf.NewFile(bytes.NewReader(header(arch)))
		if err != nil {
			t.Errorf("%s: %v", arch, err)
			continue
		}
		if f.Machine != m.id || f.Class != m.class || f.ByteOrder != m.order || f.Type != elf.ET_EXEC {
			t.Errorf("%s: header %+v", arch, f.FileHeader)
		}
		if len(m.exit) > 0 && (len(f.Progs) != 1 || f.Entry <= f.Progs[0].Vaddr) {
			t.Errorf("%s: not a whole program: entry %#x, %d segments", arch, f.Entry, len(f.Progs))
		}
	}
	if header("sparc") != nil {
		t.Error("a header for an unknown architecture")
	}
}

func TestStarts(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("needs linux/amd64, where the outcome is known")
	}
	if !starts("386") {
		t.Skip("this kernel does not run 386 programs")
	}
	if lookup(binfmtDir, "s390x") != ready && starts("s390x") {
		t.Error("started a program for s390x without an interpreter")
	}
	if starts("sparc") {
		t.Error("started a program for an unknown architecture")
	}
}

func TestRunnable(t *testing.T) {
	if err := Runnable(Default()); err != nil {
		t.Errorf("own platform: %v", err)
	}
	for _, p := range Supported() {
		if p.Architecture == runtime.GOARCH {
			t.Errorf("%v is listed besides the default", p)
		}
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
	v2 := "processor\t: 0\nflags\t\t: fpu cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3"
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

func FuzzParseBinfmt(f *testing.F) {
	f.Add("enabled\ninterpreter /q\nflags: OCF\noffset 0\nmagic 7f45\nmask ff\n")
	f.Add("enabled\noffset -1\nmagic 00\n")
	f.Fuzz(func(t *testing.T, s string) {
		if b := parseBinfmt(s); b.matches(header("arm64")) && len(b.magic) == 0 {
			t.Errorf("%q matches everything", s)
		}
	})
}
