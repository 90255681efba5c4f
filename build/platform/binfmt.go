package platform

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// binfmtDir is where the kernel lists its interpreters.
const binfmtDir = "/proc/sys/fs/binfmt_misc"

// A binfmtState says what the kernel's list tells about an architecture.
type binfmtState int

const (
	missing  binfmtState = iota // no entry is for it
	unknown                     // the list is not mounted here
	disabled                    // its entry, or the whole list, is switched off
	unfixed                     // the interpreter is looked up in the container
	ready
)

// lookup finds the best entry of dir that takes programs for arch. Entries are
// told by the bytes they match, since their names are anybody's choice.
func lookup(dir, arch string) binfmtState {
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return unknown
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return unknown
	}
	program, best := header(arch), missing
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil || e.Name() == "status" || e.Name() == "register" {
			continue
		}
		if b := parseBinfmt(string(raw)); b.matches(program) {
			best = max(best, b.state())
		}
	}
	if best > disabled && strings.TrimSpace(string(status)) != "enabled" {
		return disabled
	}
	return best
}

// A binfmt is one entry of the list.
type binfmt struct {
	enabled     bool
	flags       string
	offset      int
	magic, mask []byte
}

// parseBinfmt reads an entry as the kernel shows it. What is malformed, or goes
// by file name, matches nothing.
func parseBinfmt(s string) binfmt {
	var b binfmt
	for line := range strings.Lines(s) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var err error
		switch key {
		case "enabled":
			b.enabled = true
		case "flags:":
			b.flags = value
		case "offset":
			b.offset, err = strconv.Atoi(value)
		case "magic":
			b.magic, err = hex.DecodeString(value)
		case "mask":
			b.mask, err = hex.DecodeString(value)
		}
		if err != nil {
			return binfmt{}
		}
	}
	return b
}

func (b binfmt) matches(program []byte) bool {
	if len(b.magic) == 0 || b.offset < 0 || b.offset > len(program) || len(b.magic) > len(program)-b.offset ||
		b.mask != nil && len(b.mask) != len(b.magic) {
		return false
	}
	for i, want := range b.magic {
		diff := program[b.offset+i] ^ want
		if b.mask != nil {
			diff &= b.mask[i]
		}
		if diff != 0 {
			return false
		}
	}
	return true
}

func (b binfmt) state() binfmtState {
	switch {
	case !b.enabled:
		return disabled
	case !strings.Contains(b.flags, "F"):
		return unfixed
	}
	return ready
}
