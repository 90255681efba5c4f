package files

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/mica-build/mica/internal/fault"
)

// reserveSize is room that is kept for taking things away, which is a record in a
// log, once the disk is full.
const reserveSize = 256 << 10

func reservePath(root string) string { return filepath.Join(root, "reserve") }

// full says whether err is that of a full disk.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// giveReserve gives the reserve away; it says whether there was one.
func (x *index) giveReserve() bool { return fault.Remove(reservePath(x.root)) == nil }

// keepReserve makes the reserve, where there is none and there is room for it.
// If there is not, it is made another time.
func keepReserve(root string) {
	path := reservePath(root)
	if st, err := os.Stat(path); err == nil && st.Size() == reserveSize {
		return
	}
	if err := os.WriteFile(path, make([]byte, reserveSize), 0o600); err != nil {
		os.Remove(path)
	}
}
