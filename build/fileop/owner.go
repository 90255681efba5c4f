//go:build linux

package fileop

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/safepath"
)

// maxUserFile bounds /etc/passwd and /etc/group.
const maxUserFile = 10 << 20

// maxID is the largest owner of a file: the next number means "as it is".
const maxID = 1<<32 - 2

// LookupOwner resolves the owner c in the tree root (its /etc/passwd and
// /etc/group). userRoot and groupRoot may be nil when c names no names; nil c is
// nil. A user's number alone is the group's number too, a user's name alone
// brings its group along.
//
// BuildKit takes 0 for a name that it does not find. Here it is an error
// (errs.ErrNotFound) that says who is missing where, except for root, which is
// 0 wherever no file says otherwise.
func LookupOwner(c *pb.ChownOpt, userRoot, groupRoot *os.File) (*Owner, error) {
	if c == nil {
		return nil, nil
	}
	var o Owner
	switch u := c.User.GetUser().(type) {
	case *pb.UserOpt_ByID:
		o = Owner{int(u.ByID), int(u.ByID)}
	case *pb.UserOpt_ByName:
		found, err := lookupUser(userRoot, u.ByName.GetName())
		if err != nil {
			return nil, err
		}
		o = found
	}
	switch g := c.Group.GetUser().(type) {
	case *pb.UserOpt_ByID:
		o.GID = int(g.ByID)
	case *pb.UserOpt_ByName:
		gid, err := lookupGroup(groupRoot, g.ByName.GetName())
		if err != nil {
			return nil, err
		}
		o.GID = gid
	}
	for _, id := range []int{o.UID, o.GID} {
		if id < 0 || id > maxID {
			return nil, fmt.Errorf("owner %d:%d: id %d: %w", o.UID, o.GID, id, errs.ErrInvalid)
		}
	}
	return &o, nil
}

func lookupUser(root *os.File, name string) (Owner, error) {
	const file = "/etc/passwd"
	data, err := readUserFile(root, file)
	if err != nil && name != "root" {
		return Owner{}, fmt.Errorf("user %q: %w", name, err)
	}
	found, err := user.ParsePasswdFilter(bytes.NewReader(data), func(u user.User) bool { return u.Name == name })
	switch {
	case err != nil:
		return Owner{}, fmt.Errorf("user %q: %s: %w", name, file, err)
	case len(found) > 0:
		return Owner{found[0].Uid, found[0].Gid}, nil
	case name == "root":
		return Owner{}, nil
	}
	return Owner{}, fmt.Errorf("user %q: %w in %s", name, errs.ErrNotFound, file)
}

func lookupGroup(root *os.File, name string) (int, error) {
	const file = "/etc/group"
	data, err := readUserFile(root, file)
	if err != nil && name != "root" {
		return 0, fmt.Errorf("group %q: %w", name, err)
	}
	found, err := user.ParseGroupFilter(bytes.NewReader(data), func(g user.Group) bool { return g.Name == name })
	switch {
	case err != nil:
		return 0, fmt.Errorf("group %q: %s: %w", name, file, err)
	case len(found) > 0:
		return found[0].Gid, nil
	case name == "root":
		return 0, nil
	}
	return 0, fmt.Errorf("group %q: %w in %s", name, errs.ErrNotFound, file)
}

func readUserFile(root *os.File, file string) ([]byte, error) {
	if root == nil {
		return nil, fmt.Errorf("there is no %s here, use a number: %w", file, errs.ErrNotFound)
	}
	data, err := safepath.ReadFile(root, file, maxUserFile)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("there is no %s here, use a number: %w", file, errs.ErrNotFound)
	}
	return data, err
}
