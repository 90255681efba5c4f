//go:build linux

package fileop

import (
	"context"
	"fmt"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// Content is what a copy or a mount reads: the key of it, and, for who asks, its
// files one by one.
type Content struct {
	Digest digest.Digest
	d      *digester
}

// An Entry is one file that a copy or a mount reads, as far as it decides the
// result: times are not part of it.
type Entry struct {
	Path   string // from the root of the source, "" for the root itself
	Mode   uint32 // st_mode: type and permissions
	Owner  Owner
	Size   int64         // of a regular file
	Digest digest.Digest // of a regular file's bytes; "" from List
	Link   string        // target of a symbolic link
	Rdev   uint64        // of a device
	Caps   []byte        // the xattr security.capability
}

// CopyContent is what Copy would take. Its Digest is that of [Digest].
func CopyContent(ctx context.Context, src *Source, a *pb.FileActionCopy) (*Content, error) {
	found, err := choose(ctx, src, a)
	if err != nil {
		return nil, fmt.Errorf("copy: %w", err)
	}
	d := newDigester(src)
	for _, s := range found {
		clear(d.seen)
		if a.DirCopyContents && s.tree.isDir() {
			d.text("contents")
		} else {
			d.text("named", s.base)
			d.add(s.tree)
		}
		d.below(s.tree)
	}
	sum, err := d.sum(ctx)
	if err != nil {
		return nil, fmt.Errorf("copy %q: %w", a.Src, err)
	}
	return &Content{sum, d}, nil
}

// PathContent is the file or the whole tree at path. Its Digest is that of
// [DigestPath].
func PathContent(ctx context.Context, src *Source, path string) (*Content, error) {
	tree, err := readPath(ctx, src, path)
	if err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	d := newDigester(src)
	d.text("path")
	d.add(tree)
	d.below(tree)
	sum, err := d.sum(ctx)
	if err != nil {
		return nil, fmt.Errorf("mount %q: %w", path, err)
	}
	return &Content{sum, d}, nil
}

// Entries lists the files, in the order in which they were read.
func (c *Content) Entries() []Entry {
	out := make([]Entry, len(c.d.all))
	files := c.d.files
	for i, e := range c.d.all {
		out[i] = describe(c.d.src, e)
		if len(files) > 0 && files[0].file == e {
			out[i].Digest = files[0].sum
			files = files[1:]
		}
	}
	return out
}

// List gives all that exists for a copy from src, without reading any file.
func List(ctx context.Context, src *Source) ([]Entry, error) {
	tree, err := readPath(ctx, src, "/")
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	var out []Entry
	var walk func(*entry)
	walk = func(e *entry) {
		for _, kid := range e.kids {
			out = append(out, describe(src, kid))
			walk(kid)
		}
	}
	walk(tree)
	return out, nil
}

func readPath(ctx context.Context, src *Source, path string) (*entry, error) {
	s := &scanner{root: src.Dir, context: src.Context, layer: src.Immutable}
	var err error
	if s.hide, err = newPatterns(src.Exclude); err != nil {
		return nil, fmt.Errorf("context excludes: %w", err)
	}
	return s.at(ctx, rooted(path), true)
}

func describe(src *Source, e *entry) Entry {
	out := Entry{Path: e.path, Mode: e.st.Mode, Owner: ownerOf(src, e), Link: e.link, Caps: e.caps}
	switch e.kind() {
	case unix.S_IFREG:
		out.Size = e.st.Size
	case unix.S_IFCHR, unix.S_IFBLK:
		out.Rdev = e.st.Rdev
	case unix.S_IFLNK:
		out.Mode = unix.S_IFLNK | 0o777
	}
	return out
}

// ExcludedBy says whether the .dockerignore patterns hide path, and which of
// them had the last word: its index, or -1 when none is about the path.
func ExcludedBy(texts []string, path string) (by int, excluded bool, err error) {
	by = -1
	for i := range texts {
		p, err := newPatterns(texts[:i+1])
		if err != nil {
			return -1, false, err
		}
		if now, _ := p.chain(rooted(path)); now != excluded {
			by, excluded = i, now
		}
	}
	return by, excluded, nil
}
