//go:build linux

package history

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/build/fileop"
)

// A FileChange is one difference between two listings.
type FileChange struct {
	Path   string // from the root of what was read
	Change string // "added", "removed", "content changed", "mode changed from 0644 to 0755" ...
}

func (c FileChange) String() string { return c.Path + ": " + c.Change }

// changes lists what is different in now, by path.
func (l Listing) changes(now Listing) []FileChange {
	paths := slices.Collect(maps.Keys(now))
	for p := range l {
		if _, ok := now[p]; !ok {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	var out []FileChange
	for _, p := range paths {
		a, was := l[p]
		b, is := now[p]
		c := ""
		switch {
		case !was:
			c = "added"
		case !is:
			c = "removed"
		default:
			c = changed(&a, &b)
		}
		if c != "" {
			out = append(out, FileChange{Path: shownPath(p), Change: c})
		}
	}
	return out
}

func shownPath(p string) string {
	if p == "" {
		return "."
	}
	return p
}

// changed says what is different about one path, "" for nothing.
func changed(a, b *fileop.Entry) string {
	switch {
	case a.Mode&unix.S_IFMT != b.Mode&unix.S_IFMT:
		return fmt.Sprintf("was %s and is %s", kindName(a.Mode), kindName(b.Mode))
	case a.Digest != b.Digest:
		return "content changed"
	case a.Link != b.Link:
		return fmt.Sprintf("link changed from %s to %s", a.Link, b.Link)
	case a.Mode != b.Mode:
		return fmt.Sprintf("mode changed from %04o to %04o", a.Mode&0o7777, b.Mode&0o7777)
	case a.Owner != b.Owner:
		return fmt.Sprintf("owner changed from %d:%d to %d:%d", a.Owner.UID, a.Owner.GID, b.Owner.UID, b.Owner.GID)
	case a.Rdev != b.Rdev:
		return "device changed"
	case !bytes.Equal(a.Caps, b.Caps):
		return "capabilities changed"
	}
	return ""
}

func kindName(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "a file"
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFLNK:
		return "a symbolic link"
	}
	return "a special file"
}
