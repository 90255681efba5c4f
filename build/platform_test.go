package build

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/mica-build/mica/build/platform"
	"github.com/mica-build/mica/errs"
)

// foreign is an architecture whose programs do not run here.
func foreign(t testing.TB) (platformName string, machine elf.Machine) {
	t.Helper()
	for name, m := range map[string]elf.Machine{"linux/s390x": elf.EM_S390, "linux/ppc64le": elf.EM_PPC64} {
		for _, p := range platform.Supported() {
			if strings.HasSuffix(name, "/"+p.Architecture) {
				name = ""
			}
		}
		if name != "" && platform.Default().Architecture != strings.TrimPrefix(name, "linux/") {
			return name, m
		}
	}
	t.Skip("needs an architecture that no interpreter is registered for")
	return "", 0
}

// What an image says of its platform need not be so of the programs in it: they
// run if they can, and if not the error says what to install.
func TestRunForForeignPlatform(t *testing.T) {
	name, machine := foreign(t)
	b := newBench(t, map[string]string{"Dockerfile": base + "RUN echo hi >/hi\n"})
	if got := b.files(Request{Platforms: []string{name}})["hi"]; got != "hi\n" {
		t.Errorf("a native program wrote %q", got)
	}
	order := binary.ByteOrder(binary.BigEndian)
	data := byte(elf.ELFDATA2MSB)
	if machine == elf.EM_PPC64 {
		order, data = binary.LittleEndian, byte(elf.ELFDATA2LSB)
	}
	program := make([]byte, 256)
	copy(program, []byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), data, byte(elf.EV_CURRENT)})
	order.PutUint16(program[16:], uint16(elf.ET_EXEC))
	order.PutUint16(program[18:], uint16(machine))
	b.write("program", string(program))
	b.write("Dockerfile", "FROM scratch\nCOPY --chmod=755 program /\nRUN [\"/program\"]\n")
	_, err := b.try(Request{Platforms: []string{name}})
	if !errors.Is(err, errs.ErrUnsupported) || !strings.Contains(err.Error(), "apt-get install qemu-user-static") {
		t.Errorf("error %v, want one that names the package", err)
	}
}

func TestPlatformsWithoutPrograms(t *testing.T) {
	b := newBench(t, map[string]string{"Dockerfile": base + `FROM --platform=$BUILDPLATFORM base AS make
ARG TARGETARCH
RUN echo $TARGETARCH >/arch
FROM scratch
COPY --from=make /arch /
`})
	got := b.files(Request{Platforms: []string{"linux/arm64", "linux/s390x"}})
	for _, arch := range []string{"arm64", "s390x"} {
		if a := got["linux_"+arch+"/arch"]; a != arch+"\n" {
			t.Errorf("%s: %q", arch, a)
		}
	}
}
