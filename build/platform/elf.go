package platform

import (
	"debug/elf"
	"encoding/binary"
)

// A machine says how programs of an architecture begin.
type machine struct {
	id    elf.Machine
	class elf.Class
	order binary.ByteOrder
	flags uint32
	exit  []byte // code that ends the process with status 0
}

// machines are the architectures that images are made for.
var machines = map[string]machine{
	"386": {
		id: elf.EM_386, class: elf.ELFCLASS32, order: binary.LittleEndian,
		exit: []byte{0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80}, // mov eax,1; xor ebx,ebx; int 0x80
	},
	"arm": {
		id: elf.EM_ARM, class: elf.ELFCLASS32, order: binary.LittleEndian, flags: 0x05000000, // EABI 5
		exit: []byte{1, 0x70, 0xa0, 0xe3, 0, 0, 0xa0, 0xe3, 0, 0, 0, 0xef}, // mov r7,#1; mov r0,#0; svc 0
	},
	"amd64":    {id: elf.EM_X86_64, class: elf.ELFCLASS64, order: binary.LittleEndian},
	"arm64":    {id: elf.EM_AARCH64, class: elf.ELFCLASS64, order: binary.LittleEndian},
	"loong64":  {id: elf.EM_LOONGARCH, class: elf.ELFCLASS64, order: binary.LittleEndian},
	"mips":     {id: elf.EM_MIPS, class: elf.ELFCLASS32, order: binary.BigEndian},
	"mipsle":   {id: elf.EM_MIPS, class: elf.ELFCLASS32, order: binary.LittleEndian},
	"mips64":   {id: elf.EM_MIPS, class: elf.ELFCLASS64, order: binary.BigEndian},
	"mips64le": {id: elf.EM_MIPS, class: elf.ELFCLASS64, order: binary.LittleEndian},
	"ppc64":    {id: elf.EM_PPC64, class: elf.ELFCLASS64, order: binary.BigEndian},
	"ppc64le":  {id: elf.EM_PPC64, class: elf.ELFCLASS64, order: binary.LittleEndian},
	"riscv64":  {id: elf.EM_RISCV, class: elf.ELFCLASS64, order: binary.LittleEndian},
	"s390x":    {id: elf.EM_S390, class: elf.ELFCLASS64, order: binary.BigEndian},
}

// header is the start of a static program for arch, empty if arch is unknown.
// Where the machine has exit code, it is a whole program, for a 32-bit class;
// else a program only in looks: the kernel hands it to an interpreter but does
// not run it itself.
func header(arch string) []byte {
	m, ok := machines[arch]
	if !ok {
		return nil
	}
	const load, headers = 0x10000, 52 + 32
	b := make([]byte, 256)
	copy(b, elf.ELFMAG)
	b[elf.EI_CLASS], b[elf.EI_DATA], b[elf.EI_VERSION] = byte(m.class), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	if m.order == binary.ByteOrder(binary.BigEndian) {
		b[elf.EI_DATA] = byte(elf.ELFDATA2MSB)
	}
	m.order.PutUint16(b[16:], uint16(elf.ET_EXEC))
	m.order.PutUint16(b[18:], uint16(m.id))
	m.order.PutUint32(b[20:], uint32(elf.EV_CURRENT))
	if m.exit == nil {
		return b
	}
	put := func(at int, words ...uint32) {
		for i, w := range words {
			m.order.PutUint32(b[at+4*i:], w)
		}
	}
	put(24, load+headers, 52, 0, m.flags) // entry, program headers, no sections
	m.order.PutUint16(b[40:], 52)         // size of this header
	m.order.PutUint16(b[42:], 32)         // size and number of program headers
	m.order.PutUint16(b[44:], 1)
	put(52, uint32(elf.PT_LOAD), 0, load, load, 256, 256, uint32(elf.PF_R|elf.PF_X), 0x1000)
	copy(b[headers:], m.exit)
	return b
}
