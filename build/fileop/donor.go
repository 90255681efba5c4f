//go:build linux

package fileop

import (
	"os"
	"path"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// A Donor is an earlier result of the same copy: a file that is still the same
// gets a second name instead of being copied again.
type Donor struct {
	// Dir is the root of a published layer.
	Dir *os.File
	// Files are the digests of the regular files that were copied into it, by
	// path from the root.
	Files map[string]digest.Digest
}

// donated are the donor's files that were used, each at most once: two files of
// the new tree that are one file would be hard links.
type donated struct {
	mu   sync.Mutex
	used map[inode]bool
}

// digestOf is the digest of e's content, as far as somebody remembers it.
func (w *writer) digestOf(e *entry) digest.Digest {
	if w.src.Digests == nil || w.src.Copied == nil {
		return ""
	}
	d, err := w.src.Digests.FileDigest(e.path, &e.st, func() (*os.File, error) { return openFile(w.src.Dir, e.path) })
	if err != nil {
		return "" // copying will say what is wrong
	}
	return d
}

// donate takes e from the donor if the donor has just the same file.
func (w *writer) donate(p *dirPair, e *entry, name string, m meta, d digest.Digest) bool {
	donor := w.src.Donor
	if donor == nil || d == "" || !p.direct || w.sharing.off.Load() {
		return false
	}
	target := path.Join(p.target, name)
	if donor.Files[target] != d {
		return false
	}
	var st unix.Stat_t
	dir := int(donor.Dir.Fd())
	if unix.Fstatat(dir, target, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return false
	}
	old := &entry{name: target, st: st, caps: e.caps}
	if old.kind() != unix.S_IFREG || st.Size != e.st.Size || !m.fits(&st) || len(e.caps) > 0 || !plainXattrs(dir, old) {
		return false
	}
	if !w.donated.take(inode{st.Dev, st.Ino}) {
		return false
	}
	err := unix.Linkat(dir, target, p.to, name, 0)
	w.sharing.note(err)
	return err == nil
}

func (d *donated) take(i inode) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.used[i] {
		return false
	}
	if d.used == nil {
		d.used = map[inode]bool{}
	}
	d.used[i] = true
	return true
}

// fits says whether a file that looks like st looks as m wants it.
func (m meta) fits(st *unix.Stat_t) bool {
	return (Owner{int(st.Uid), int(st.Gid)}) == m.owner && st.Mode&0o7777 == m.mode && st.Mtim == m.time
}
