//go:build linux

package fileop

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path"
	"sync/atomic"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/safepath"
)

// hashers is how many files are hashed at a time.
const hashers = 4

// Digest is the content key of what Copy would take: names, types, modes,
// owners, links, file capabilities and bytes, but no times. The name of a
// source counts where a copy may use it: for a file, and for a directory that
// is copied as such. A source that is missing or excluded is errs.ErrNotFound.
func Digest(ctx context.Context, src *Source, a *pb.FileActionCopy) (digest.Digest, error) {
	c, err := CopyContent(ctx, src, a)
	if err != nil {
		return "", err
	}
	return c.Digest, nil
}

// DigestPath is the content key of the file or the whole tree at path, for
// read-only bind mounts: as Digest, with the directory's own mode and owner but
// without its name.
func DigestPath(ctx context.Context, src *Source, path string) (digest.Digest, error) {
	c, err := PathContent(ctx, src, path)
	if err != nil {
		return "", err
	}
	return c.Digest, nil
}

// digester writes down all entries in order, leaving gaps for the digests of
// files, then hashes the files in any order, then all of it.
type digester struct {
	src      *Source
	preimage []byte
	all      []*entry
	files    []gap
	seen     map[inode]uint64 // files with more than one name, by their number
}

// gap is where the digest of a file belongs in the text.
type gap struct {
	at   int
	file *entry
	sum  digest.Digest
}

// inode is a file that may have several names.
type inode struct{ dev, ino uint64 }

func newDigester(src *Source) *digester {
	d := &digester{src: src, seen: map[inode]uint64{}}
	d.text("mica copy 1")
	return d
}

// text adds length-prefixed strings.
func (d *digester) text(ss ...string) {
	for _, s := range ss {
		d.num(uint64(len(s)))
		d.preimage = append(d.preimage, s...)
	}
}

func (d *digester) num(n uint64) { d.preimage = binary.AppendUvarint(d.preimage, n) }

// below adds what the directory e holds.
func (d *digester) below(e *entry) {
	for _, kid := range e.kids {
		d.text(kid.name)
		d.add(kid)
		if kid.isDir() {
			d.below(kid)
		}
	}
	d.text("") // no file has this name: the directory ends here
}

// onTheWay marks, above the bits of st_mode, a directory that patterns take
// only for what is in it: where its copy exists already, that makes a difference.
const onTheWay = 1 << 16

// add adds an entry without its name.
func (d *digester) add(e *entry) {
	d.all = append(d.all, e)
	kind, perm := e.kind(), e.st.Mode&0o7777
	if kind == unix.S_IFSOCK {
		kind = unix.S_IFREG // it is copied as an empty file
	}
	if kind == unix.S_IFLNK {
		perm = 0o777
	}
	if !e.taken {
		perm |= onTheWay
	}
	d.num(uint64(kind | perm))
	owner := ownerOf(d.src, e)
	d.num(uint64(owner.UID))
	d.num(uint64(owner.GID))
	switch kind {
	case unix.S_IFLNK:
		d.text(e.link)
	case unix.S_IFCHR, unix.S_IFBLK:
		d.num(e.st.Rdev)
	case unix.S_IFREG:
		d.text(string(e.caps))
		d.num(d.link(e))
		d.files = append(d.files, gap{at: len(d.preimage), file: e})
	}
}

// link gives the number of a file that came before under another name, else 0.
func (d *digester) link(e *entry) uint64 {
	if !e.linked() {
		return 0
	}
	id := inode{e.st.Dev, e.st.Ino}
	if before, ok := d.seen[id]; ok {
		return before
	}
	d.seen[id] = uint64(len(d.seen) + 1)
	return 0
}

// sum hashes the files and then everything.
func (d *digester) sum(ctx context.Context) (digest.Digest, error) {
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range hashers {
		g.Go(func() error {
			for {
				const batch = 64
				from := int(next.Add(batch)) - batch
				if from >= len(d.files) {
					return nil
				}
				for i := range d.files[from:min(from+batch, len(d.files))] {
					f := &d.files[from+i]
					if err := ctx.Err(); err != nil {
						return err
					}
					var err error
					if f.sum, err = d.content(f.file); err != nil {
						return err
					}
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	h := sha256.New()
	from := 0
	for _, f := range d.files {
		h.Write(d.preimage[from:f.at])
		io.WriteString(h, string(f.sum))
		from = f.at
	}
	h.Write(d.preimage[from:])
	return digest.NewDigest(digest.SHA256, h), nil
}

// content gives the digest of what a file is copied as.
func (d *digester) content(e *entry) (digest.Digest, error) {
	if e.kind() == unix.S_IFSOCK {
		return digest.SHA256.FromBytes(nil), nil
	}
	open := func() (*os.File, error) { return openFile(d.src.Dir, e.path) }
	if d.src.Digests != nil {
		return d.src.Digests.FileDigest(e.path, &e.st, open)
	}
	f, err := open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum, err := digest.SHA256.FromReader(f)
	if err != nil {
		return "", fmt.Errorf("read %q: %w", "/"+e.path, err)
	}
	return sum, nil
}

// openFile opens the resolved path at, which has to be a regular file.
func openFile(root *os.File, at string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_NOFOLLOW
	f, err := safepath.Open(root, at, flags, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("open %q: it was a regular file and is not any more", path.Join("/", at))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
