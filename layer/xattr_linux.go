package layer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

const (
	trustedOverlay = "trusted.overlay."
	userOverlay    = "user.overlay."
	capabilityAttr = "security.capability"
	defaultACL     = "system.posix_acl_default"
)

// UserXattr says whether trees made by this process carry the marks of
// overlayfs in user.overlay instead of trusted.overlay xattrs, so that they are
// to be mounted with the option userxattr. It is so for a process without
// CAP_SYS_ADMIN in the initial user namespace.
func UserXattr() bool { return overlayPrefix() == userOverlay }

// overlayPrefix is where overlayfs keeps its marks for this process. Marks in
// the other place are without meaning, and anyone may have put them there.
var overlayPrefix = sync.OnceValue(func() string {
	uidMap, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(uidMap)), " 4294967295") {
		return userOverlay
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return userOverlay
	}
	_, rest, _ := strings.Cut(string(status), "\nCapEff:\t")
	line, _, _ := strings.Cut(rest, "\n")
	caps, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil || caps&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return userOverlay
	}
	return trustedOverlay
})

// IsMark says whether an xattr is overlayfs's own, wherever it keeps them, rather
// than the file's.
func IsMark(name string) bool {
	return strings.HasPrefix(name, trustedOverlay) || strings.HasPrefix(name, userOverlay)
}

// carried says whether an xattr belongs to the file rather than to overlayfs or
// to the machine the file lies on.
func carried(name string) bool {
	switch {
	case IsMark(name):
		return false
	case strings.HasPrefix(name, recordPrefix):
		return !UserXattr()
	case strings.HasPrefix(name, "user."), strings.HasPrefix(name, "trusted."):
		return true
	}
	return name == capabilityAttr || strings.HasPrefix(name, "system.posix_acl_")
}

// attrs are the extended attributes of one file.
type attrs struct {
	carried map[string]string // nil if there are none
	opaque  bool
}

// readAttrs reads from an open file (any but O_PATH).
func readAttrs(fd int) (attrs, error) {
	return parseAttrs(
		func(b []byte) (int, error) { return unix.Flistxattr(fd, b) },
		func(name string, b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) })
}

// readAttrsAt reads without opening, for symbolic links, devices and the like.
func readAttrsAt(dir int, name string) (attrs, error) {
	path := procPath(dir, name)
	return parseAttrs(
		func(b []byte) (int, error) { return unix.Llistxattr(path, b) },
		func(name string, b []byte) (int, error) { return unix.Lgetxattr(path, name, b) })
}

// procPath names an entry of an open directory for calls that take paths only.
func procPath(dir int, name string) string {
	return "/proc/self/fd/" + strconv.Itoa(dir) + "/" + name
}

func parseAttrs(list func([]byte) (int, error), get func(string, []byte) (int, error)) (attrs, error) {
	var a attrs
	var first [512]byte
	names, err := grow(first[:], list)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		return a, fmt.Errorf("list xattrs: %w", err)
	}
	for raw := range bytes.SplitSeq(names, []byte{0}) {
		name := string(raw)
		mark, isMark := strings.CutPrefix(name, overlayPrefix())
		if name == "" || !isMark && !carried(name) {
			continue
		}
		value, err := grow(nil, func(b []byte) (int, error) { return get(name, b) })
		if err == unix.ENODATA { // gone between the two calls
			continue
		}
		if err != nil {
			return a, fmt.Errorf("read xattr %s: %w", name, err)
		}
		if isMark {
			if err := a.mark(mark, string(value)); err != nil {
				return a, err
			}
			continue
		}
		if a.carried == nil {
			a.carried = map[string]string{}
		}
		a.carried[name] = string(value)
	}
	return a, nil
}

// mark takes note of one xattr of overlayfs.
func (a *attrs) mark(name, value string) error {
	switch name {
	case "opaque":
		if value == "y" {
			a.opaque = true
			return nil
		}
	case "redirect", "metacopy":
	default:
		return nil // origin, impure, uuid and the like say nothing about content
	}
	return fmt.Errorf("overlayfs xattr %s: %w", name, errs.ErrUnsupported)
}

// grow calls a two-step xattr function until its result fits.
func grow(buf []byte, call func([]byte) (int, error)) ([]byte, error) {
	for {
		if len(buf) == 0 {
			n, err := call(nil)
			if err != nil || n == 0 {
				return nil, err
			}
			buf = make([]byte, n)
		}
		n, err := call(buf)
		if err == unix.ERANGE {
			buf = nil
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}

// isOpaque reads the opaque mark of an open directory.
func isOpaque(fd int) (bool, error) {
	var b [2]byte
	n, err := unix.Fgetxattr(fd, overlayPrefix()+"opaque", b[:])
	switch err {
	case nil:
		return n == 1 && b[0] == 'y', nil
	case unix.ENODATA, unix.ENOTSUP:
		return false, nil
	case unix.ERANGE:
		return false, fmt.Errorf("overlayfs xattr opaque: %w", errs.ErrUnsupported)
	}
	return false, fmt.Errorf("read xattr %sopaque: %w", overlayPrefix(), err)
}
