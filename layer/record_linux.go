package layer

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// A process that may not give files away or make device nodes, as in a user
// namespace, notes what it could not do in xattrs, so that the layer tar is the
// one that root would write. Where the marks of overlayfs are trusted xattrs
// (see [UserXattr]), these names mean nothing and are carried like any others.
const (
	recordPrefix = "user.mica."
	// ownerRecord is "uid:gid", on files and directories.
	ownerRecord = recordPrefix + "owner"
	// deviceRecord is "c:major:minor" or "b:major:minor", on the empty file that
	// stands for the device.
	deviceRecord = recordPrefix + "device"
	// entriesRecord is on a directory: the owners of entries that have no user
	// xattrs, which are symbolic links and fifos. See entryOwners.
	entriesRecord = recordPrefix + "entries"
)

// SingleID says whether this process can give files to nobody but itself: it is
// not root, or root of a user namespace with one user in it. Owners are notes then.
func SingleID() bool { return singleID() }

var singleID = sync.OnceValue(func() bool {
	if os.Geteuid() != 0 {
		return true
	}
	b, err := os.ReadFile("/proc/self/uid_map")
	f := strings.Fields(string(b))
	return err == nil && len(f) == 3 && f[2] == "1"
})

// Chown gives an entry of an open directory to a user and group, or notes that
// it is theirs where this process knows no other users ([SingleID]). A symbolic
// link is not followed; name "." is the directory itself.
func Chown(dir int, name string, uid, gid int) error {
	if !SingleID() {
		return unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	}
	return noteOwner(dir, name, uid, gid)
}

// ChownFile is Chown for an open file or directory.
func ChownFile(fd, uid, gid int) error {
	if !SingleID() {
		return unix.Fchown(fd, uid, gid)
	}
	return noteXattr("/proc/self/fd/"+strconv.Itoa(fd), unix.Setxattr, unix.Removexattr, uid, gid)
}

// Mknod makes a fifo or device. In a user namespace, where devices cannot be
// made, an empty file with a note stands for one.
func Mknod(dir int, name string, mode uint32, dev uint64) error {
	err := unix.Mknodat(dir, name, mode, int(dev))
	kind := mode & unix.S_IFMT
	if err != unix.EPERM || !UserXattr() || kind != unix.S_IFCHR && kind != unix.S_IFBLK {
		return err
	}
	fd, err := openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, mode&0o777)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	text := "b"
	if kind == unix.S_IFCHR {
		text = "c"
	}
	text += ":" + strconv.Itoa(int(unix.Major(dev))) + ":" + strconv.Itoa(int(unix.Minor(dev)))
	if err := unix.Fsetxattr(fd, deviceRecord, []byte(text), 0); err != nil {
		return fmt.Errorf("note device: %w", err)
	}
	return nil
}

// Recorded puts into st, which describes an entry of an open directory, what is
// noted about it. Name "." is the directory itself.
func Recorded(dir int, name string, st *unix.Stat_t) error {
	if !UserXattr() {
		return nil
	}
	kind := st.Mode & unix.S_IFMT
	if kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return recordedEntry(dir, name, st)
	}
	path := procPath(dir, name)
	if kind == unix.S_IFREG && st.Size == 0 {
		if v, err := record(path, deviceRecord); err != nil {
			return err
		} else if mode, dev, ok := parseDevice(v); ok {
			st.Mode, st.Rdev = st.Mode&^unix.S_IFMT|mode, dev
		}
	}
	if !SingleID() {
		return nil
	}
	v, err := record(path, ownerRecord)
	if err != nil {
		return err
	}
	if uid, gid, ok := parseOwner(v); ok {
		st.Uid, st.Gid = uid, gid
	}
	return nil
}

// record reads a short xattr, "" where there is none.
func record(path, name string) (string, error) {
	var b [64]byte
	n, err := unix.Lgetxattr(path, name, b[:])
	switch err {
	case nil:
		return string(b[:n]), nil
	case unix.ENODATA, unix.ENOTSUP, unix.ERANGE:
		return "", nil
	}
	return "", fmt.Errorf("read xattr %s: %w", name, err)
}

func parseOwner(s string) (uid, gid uint32, ok bool) {
	u, g, _ := strings.Cut(s, ":")
	uid64, err1 := strconv.ParseUint(u, 10, 32)
	gid64, err2 := strconv.ParseUint(g, 10, 32)
	return uint32(uid64), uint32(gid64), err1 == nil && err2 == nil
}

// parseDevice reads a device record. The device that is a whiteout has none.
func parseDevice(s string) (mode uint32, dev uint64, ok bool) {
	p := strings.Split(s, ":")
	if len(p) != 3 || p[0] != "c" && p[0] != "b" {
		return 0, 0, false
	}
	major, err1 := strconv.ParseUint(p[1], 10, 12)
	minor, err2 := strconv.ParseUint(p[2], 10, 20)
	mode = unix.S_IFBLK
	if p[0] == "c" {
		mode = unix.S_IFCHR
	}
	if err1 != nil || err2 != nil || mode == unix.S_IFCHR && major == 0 && minor == 0 {
		return 0, 0, false
	}
	return mode, unix.Mkdev(uint32(major), uint32(minor)), true
}

// noteOwner is the note of Chown.
func noteOwner(dir int, name string, uid, gid int) error {
	st, err := lstatat(dir, name)
	if err != nil {
		return err
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return noteEntry(dir, name, &st, uid, gid)
	}
	return noteXattr(procPath(dir, name), unix.Lsetxattr, unix.Lremovexattr, uid, gid)
}

func noteXattr(path string, set func(string, string, []byte, int) error, remove func(string, string) error, uid, gid int) error {
	var err error
	if uid == 0 && gid == 0 { // what needs no note
		if err = remove(path, ownerRecord); errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
			err = nil
		}
	} else {
		err = set(path, ownerRecord, fmt.Appendf(nil, "%d:%d", uid, gid), 0)
	}
	if err != nil {
		return fmt.Errorf("note owner %d:%d: %w", uid, gid, err)
	}
	return nil
}

// entryOwners are the owners noted on a directory, in its xattr: per owner uid,
// gid and number of entries, then the entries' keys. A key is cut from a hash of
// name and link target, so that a link made anew is not taken for the old one.
type entryOwners map[[2]uint32][]entryName

// entryName is the key of an entry.
type entryName [6]byte

func nameEntry(dir int, name string, st *unix.Stat_t) (k entryName, err error) {
	target := ""
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		if target, err = readlinkat(dir, name, st.Size); err != nil {
			return k, err
		}
	}
	sum := sha256.Sum256([]byte(name + "\x00" + target))
	return entryName(sum[:]), nil
}

// recordedEntry is Recorded for an entry without user xattrs.
func recordedEntry(dir int, name string, st *unix.Stat_t) error {
	if !SingleID() || IsWhiteout(st) {
		return nil
	}
	all, err := readEntryOwners(dir)
	if err != nil || len(all) == 0 {
		return err
	}
	key, err := nameEntry(dir, name, st)
	if err != nil {
		return err
	}
	if owner, ok := all.find(key); ok {
		st.Uid, st.Gid = owner[0], owner[1]
	}
	return nil
}

// noting is held while the xattr of a directory is changed.
var noting sync.Mutex

// noteEntry notes the owner of an entry without user xattrs.
func noteEntry(dir int, name string, st *unix.Stat_t, uid, gid int) error {
	noting.Lock()
	defer noting.Unlock()
	all, err := readEntryOwners(dir)
	if err != nil {
		return err
	}
	key, err := nameEntry(dir, name, st)
	if err != nil {
		return err
	}
	have, noted := all.find(key)
	want := [2]uint32{uint32(uid), uint32(gid)}
	if have == want { // 0:0 without a note too
		return nil
	}
	if noted {
		all.remove(have, key)
	}
	if want != [2]uint32{} {
		if all == nil {
			all = entryOwners{}
		}
		all[want] = append(all[want], key)
	}
	err = unix.Setxattr("/proc/self/fd/"+strconv.Itoa(dir), entriesRecord, all.encode(), 0)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.E2BIG) {
		err = fmt.Errorf("%w: there are too many links with owners in one directory for this filesystem; with ranges in /etc/subuid owners need no notes: %w", errs.ErrUnsupported, err)
	}
	if err != nil {
		return fmt.Errorf("note owner %d:%d of %s: %w", uid, gid, name, err)
	}
	return nil
}

func readEntryOwners(dir int) (entryOwners, error) {
	path := "/proc/self/fd/" + strconv.Itoa(dir)
	b, err := grow(nil, func(b []byte) (int, error) { return unix.Getxattr(path, entriesRecord, b) })
	switch err {
	case nil:
		return decodeEntryOwners(b), nil
	case unix.ENODATA, unix.ENOTSUP:
		return nil, nil
	}
	return nil, fmt.Errorf("read xattr %s: %w", entriesRecord, err)
}

func (o entryOwners) find(k entryName) (owner [2]uint32, ok bool) {
	for owner, keys := range o {
		for _, have := range keys {
			if have == k {
				return owner, true
			}
		}
	}
	return owner, false
}

func (o entryOwners) remove(owner [2]uint32, k entryName) {
	keys := o[owner]
	for i, have := range keys {
		if have == k {
			keys[i] = keys[len(keys)-1]
			o[owner] = keys[:len(keys)-1]
			return
		}
	}
}

func (o entryOwners) encode() []byte {
	var b []byte
	for owner, keys := range o {
		if len(keys) == 0 {
			continue
		}
		b = binary.LittleEndian.AppendUint32(b, owner[0])
		b = binary.LittleEndian.AppendUint32(b, owner[1])
		b = binary.LittleEndian.AppendUint16(b, uint16(len(keys)))
		for _, k := range keys {
			b = append(b, k[:]...)
		}
	}
	return b
}

// decodeEntryOwners reads what encode wrote, up to the first thing it would not
// have written: a step may have set the xattr.
func decodeEntryOwners(b []byte) entryOwners {
	o := entryOwners{}
	for len(b) >= 10 {
		owner := [2]uint32{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])}
		n := int(binary.LittleEndian.Uint16(b[8:])) * len(entryName{})
		if b = b[10:]; n > len(b) {
			break
		}
		for k := range len(b[:n]) / len(entryName{}) {
			o[owner] = append(o[owner], entryName(b[k*len(entryName{}):]))
		}
		b = b[n:]
	}
	return o
}
