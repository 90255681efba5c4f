//go:build linux

package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/moby/sys/user"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/safepath"
)

// maxUserFile bounds /etc/passwd and /etc/group of an image.
const maxUserFile = 10 << 20

// maxID is the largest user or group. The files of an image may hold others,
// which cut to 32 bits are somebody else: 1<<32 is root (CVE-2024-40635), and -1
// is who asks.
const maxID = 1<<31 - 1

// An identity is who a process is.
type identity struct {
	uid, gid uint32
	groups   []uint32
	home     string
}

// lookupUser finds user[:group] in the root's /etc/passwd and /etc/group.
// Numbers need not be there. A user alone has the group and the supplementary
// groups of the files; with a group it has that group only.
func lookupUser(root *os.File, spec string, extra []string) (*identity, error) {
	passwd, err := readUserFile(root, "/etc/passwd")
	if err != nil {
		return nil, err
	}
	group, err := readUserFile(root, "/etc/group")
	if err != nil {
		return nil, err
	}
	id, err := findUser(spec, passwd, group)
	if err != nil {
		return nil, err
	}
	id.home = homeOf(id.uid, passwd)
	more, err := findGroups(extra, group)
	if err != nil {
		return nil, err
	}
	id.groups = append(id.groups, more...)
	return id, nil
}

func readUserFile(root *os.File, path string) ([]byte, error) {
	data, err := safepath.ReadFile(root, path, maxUserFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// findUser resolves spec, "" being root.
func findUser(spec string, passwd, group []byte) (*identity, error) {
	if spec == "" {
		spec = "0"
	}
	if name, of, ok := strings.Cut(spec, ":"); ok && (name == "root" || of == "root") {
		// Where both are root or numbers, the files are not asked.
		uid, err := rootOrNumber(name)
		gid, gerr := rootOrNumber(of)
		if err == nil && gerr == nil {
			return &identity{uid: uid, gid: gid, groups: []uint32{gid}}, nil
		}
	}
	e, err := user.GetExecUser(spec, nil, bytes.NewReader(passwd), bytes.NewReader(group))
	if errors.Is(err, user.ErrNoPasswdEntries) && rootByName(spec) {
		_, g, _ := strings.Cut(spec, ":")
		return findUser("0:"+g, passwd, group)
	}
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", spec, explainUser(spec, err))
	}
	for _, n := range append([]int{e.Uid, e.Gid}, e.Sgids...) {
		if n < 0 || n > maxID {
			return nil, fmt.Errorf("user %q: id %d: %w", spec, n, errs.ErrInvalid)
		}
	}
	id := &identity{uid: uint32(e.Uid), gid: uint32(e.Gid), groups: []uint32{uint32(e.Gid)}}
	for _, g := range e.Sgids {
		if g != e.Gid {
			id.groups = append(id.groups, uint32(g))
		}
	}
	return id, nil
}

func rootOrNumber(s string) (uint32, error) {
	if s == "root" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return uint32(n), err
}

// rootByName says that spec is for root, who exists without a passwd file too.
func rootByName(spec string) bool { return spec == "root" || strings.HasPrefix(spec, "root:") }

// explainUser names the half of spec that is not in its file.
func explainUser(spec string, err error) error {
	name, group, _ := strings.Cut(spec, ":")
	switch {
	case errors.Is(err, user.ErrNoPasswdEntries):
		return fmt.Errorf("no user %q in /etc/passwd of the image: %w", name, errs.ErrNotFound)
	case errors.Is(err, user.ErrNoGroupEntries):
		return fmt.Errorf("no group %q in /etc/group of the image: %w", group, errs.ErrNotFound)
	}
	return err
}

// homeOf is the home directory of uid, / where passwd does not say.
func homeOf(uid uint32, passwd []byte) string {
	users, err := user.ParsePasswdFilter(bytes.NewReader(passwd), func(u user.User) bool { return u.Uid == int(uid) })
	if err != nil || len(users) == 0 || users[0].Home == "" {
		return "/"
	}
	return users[0].Home
}

func findGroups(names []string, group []byte) ([]uint32, error) {
	if len(names) == 0 {
		return nil, nil
	}
	gids, err := user.GetAdditionalGroups(names, bytes.NewReader(group))
	if err != nil {
		return nil, fmt.Errorf("supplementary groups: %w", err)
	}
	ids := make([]uint32, len(gids))
	for i, g := range gids {
		ids[i] = uint32(g)
	}
	return ids, nil
}
