//go:build linux

package copy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// A stamp tells whether an entry is what it was: whatever changes a file or its
// metadata changes its change time.
type stamp struct {
	ino   uint64
	ctime unix.Timespec
	dir   bool
	born  unix.StatxTimestamp // of a directory, where the filesystem knows it
}

// sameDir says that o is this directory, changed or not. The inode number alone
// is given to the next directory that is made.
func (s stamp) sameDir(o stamp) bool { return s.dir && o.dir && s.ino == o.ino && s.born == o.born }

func (d dir) stamp(name string, st *unix.Stat_t) stamp {
	s := stamp{ino: st.Ino, ctime: st.Ctim, dir: isDir(st)}
	var x unix.Statx_t
	if s.dir && unix.Statx(int(d.f.Fd()), name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &x) == nil {
		s.born = x.Btime
	}
	return s
}

// A state has the stamps of a tree, by the path of the directory ("" is the root,
// others end with a slash) and the name.
type state map[string]map[string]stamp

// record takes the state of the tree at root.
func record(root string) (state, error) {
	d, err := openDir(root)
	if err != nil {
		return nil, err
	}
	defer d.close()
	s := state{}
	return s, s.record(d, "")
}

func (s state) record(d dir, path string) error {
	names, err := d.names()
	if err != nil {
		return err
	}
	s[path] = make(map[string]stamp, len(names))
	for _, name := range names {
		st, _, err := d.stat(name)
		if err != nil {
			return err
		}
		s[path][name] = d.stamp(name, &st)
		if isDir(&st) {
			sub, err := openDir(d.at(name))
			if err != nil {
				return err
			}
			err = s.record(sub, path+name+"/")
			sub.close()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// An upper is a directory of the difference. It is made when something has to go
// into it.
type upper struct {
	parent *upper
	name   string
	d      dir
	made   bool
}

func (u *upper) make() error {
	if u.made {
		return nil
	}
	if err := u.parent.make(); err != nil {
		return err
	}
	path := u.parent.d.at(u.name)
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	d, err := openDir(path)
	if err != nil {
		return err
	}
	u.d, u.made = d, true
	return nil
}

// A settler writes the difference between a tree and what it was.
type settler struct {
	before state
}

// settle replaces the content of the directory to by the difference between the
// tree at root now and before.
func settle(root, to string, before state) error {
	tree, err := openDir(root)
	if err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	defer tree.close()
	d, err := openDir(to)
	if err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	defer d.close()
	if err := clearDir(d); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	s := settler{before}
	if err := s.dir(tree, &upper{d: d, made: true}, "", false); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	return nil
}

func clearDir(d dir) error {
	again, err := openDir(d.self())
	if err != nil {
		return err
	}
	defer again.close()
	names, err := again.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := os.RemoveAll(again.at(name)); err != nil {
			return err
		}
	}
	return nil
}

// dir writes the difference in the directory d. fresh says that it is another
// directory than before, and so that all of it is difference.
func (s *settler) dir(d dir, u *upper, path string, fresh bool) error {
	names, err := d.names()
	if err != nil {
		return err
	}
	var was map[string]stamp
	if !fresh {
		was = s.before[path]
	}
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
		if err := s.entry(d, u, path, name, was); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name := range was {
		if there[name] {
			continue
		}
		if err := u.make(); err != nil {
			return err
		}
		if err := unix.Mknod(u.d.at(name), unix.S_IFCHR, 0); err != nil {
			return &fs.PathError{Op: "make whiteout", Path: name, Err: err}
		}
	}
	if !u.made {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(d.f.Fd()), &st); err != nil {
		return err
	}
	return copyMetadata(d.self(), u.d.self(), &st)
}

func (s *settler) entry(d dir, u *upper, path, name string, was map[string]stamp) error {
	st, _, err := d.stat(name)
	if err != nil {
		return err
	}
	old, existed := was[name]
	now := d.stamp(name, &st)
	same := existed && old == now
	if now.dir {
		return s.subdir(d, &upper{parent: u, name: name}, path+name+"/", old.dir, !old.sameDir(now), same)
	}
	if same {
		return nil
	}
	if err := u.make(); err != nil {
		return err
	}
	err = os.Link(d.at(name), u.d.at(name))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EMLINK) {
		err = copyNode(d.at(name), u.d.at(name), &st)
	}
	return err
}

// subdir writes the difference in the subdirectory of d that u is named after.
// covers says that a directory was there before, fresh that this is another one,
// same that nothing about it changed.
func (s *settler) subdir(d dir, u *upper, path string, covers, fresh, same bool) error {
	sub, err := openDir(d.at(u.name))
	if err != nil {
		return err
	}
	defer sub.close()
	defer func() {
		if u.made {
			u.d.close()
		}
	}()
	if !same || fresh {
		if err := u.make(); err != nil {
			return err
		}
	}
	if err := s.dir(sub, u, path, fresh); err != nil || !fresh || !covers {
		return err
	}
	return setOpaque(u.d.self())
}
