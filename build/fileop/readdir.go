//go:build linux

package fileop

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// readDir gives the entries of an open directory by name, each with its path
// and, in st.Mode, its type if the file system told.
func readDir(fd int, dir string) ([]*entry, error) {
	if dir != "" {
		dir += "/"
	}
	var found []entry
	buf := make([]byte, 16<<10)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		for b := buf[:n]; len(b) > 0; {
			// struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name
			size := binary.NativeEndian.Uint16(b[16:])
			name := b[19:size]
			name = name[:bytes.IndexByte(name, 0)]
			kind := uint32(b[18])
			b = b[size:]
			if s := string(name); s == "." || s == ".." {
				continue
			}
			path := dir + string(name)
			found = append(found, entry{path: path, name: path[len(dir):], st: unix.Stat_t{Mode: kind << 12}})
		}
	}
	entries := make([]*entry, len(found))
	for i := range found {
		entries[i] = &found[i]
	}
	slices.SortFunc(entries, func(a, b *entry) int { return cmp.Compare(a.name, b.name) })
	return entries, nil
}

// capability reads a file's capabilities, nil where it has none.
func capability(dir int, name string) ([]byte, error) {
	buf := make([]byte, 64) // the kernel's structure has at most 24 bytes
	n, err := unix.Lgetxattr("/proc/self/fd/"+strconv.Itoa(dir)+"/"+name, capsXattr, buf)
	switch err {
	case nil:
		return buf[:n], nil
	case unix.ENODATA, unix.ENOTSUP:
		return nil, nil
	}
	return nil, err
}

// capsXattr is the one extended attribute that a copy keeps.
const capsXattr = "security.capability"
