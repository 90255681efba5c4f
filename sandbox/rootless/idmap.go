//go:build linux

package rootless

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Kind is which users a namespace has.
type Kind string

// The kinds of namespace.
const (
	// Ranges is the caller as 0 and subordinate ids from 1 on.
	Ranges Kind = "ranges"
	// Single is the caller as 0 and nobody else.
	Single Kind = "single"
	// All are the same users as outside, for root without privileges.
	All Kind = "all"
)

// A Range are Count ids from Start on, as subuid(5) has them.
type Range struct{ Start, Count int }

// Subordinate reads the ranges of user id and name in file (/etc/subuid,
// /etc/subgid). A missing file has none.
func Subordinate(file, name string, id int) ([]Range, error) {
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []Range
	for lines := bufio.NewScanner(f); lines.Scan(); {
		p := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if len(p) != 3 || p[0] == "" || (p[0] != name && p[0] != strconv.Itoa(id)) {
			continue
		}
		start, err1 := strconv.ParseUint(p[1], 10, 31)
		count, err2 := strconv.ParseUint(p[2], 10, 31)
		if err1 == nil && err2 == nil && count > 0 {
			out = append(out, Range{int(start), int(count)})
		}
	}
	return out, nil
}

// Ids are the means for a namespace with ranges.
type Ids struct {
	User                 string
	UIDs, GIDs           []Range
	NewUIDMap, NewGIDMap string // paths; "" is not installed
}

// Lookup finds what the caller has.
func Lookup() (Ids, error) {
	uid := os.Getuid()
	ids := Ids{User: strconv.Itoa(uid)}
	if u, err := user.LookupId(ids.User); err == nil {
		ids.User = u.Username
	}
	var err error
	if ids.UIDs, err = Subordinate("/etc/subuid", ids.User, uid); err != nil {
		return ids, err
	}
	if ids.GIDs, err = Subordinate("/etc/subgid", ids.User, uid); err != nil {
		return ids, err
	}
	ids.NewUIDMap, _ = exec.LookPath("newuidmap")
	ids.NewGIDMap, _ = exec.LookPath("newgidmap")
	return ids, nil
}

// Complete says that a namespace with ranges can be made.
func (i Ids) Complete() bool {
	return len(i.UIDs) > 0 && len(i.GIDs) > 0 && i.NewUIDMap != "" && i.NewGIDMap != ""
}

// mapArgs are the arguments of newuidmap or newgidmap.
func mapArgs(pid, own int, ranges []Range) []string {
	args := []string{strconv.Itoa(pid), "0", strconv.Itoa(own), "1"}
	next := 1
	for _, r := range ranges {
		args = append(args, strconv.Itoa(next), strconv.Itoa(r.Start), strconv.Itoa(r.Count))
		next += r.Count
	}
	return args
}

// apply maps the users of the process pid with the helpers.
func (i Ids) apply(pid int) error {
	for _, h := range []struct {
		path   string
		own    int
		ranges []Range
	}{{i.NewUIDMap, os.Getuid(), i.UIDs}, {i.NewGIDMap, os.Getgid(), i.GIDs}} {
		out, err := exec.Command(h.path, mapArgs(pid, h.own, h.ranges)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", h.path, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// ownMap is every id that this process knows, mapped to itself.
func ownMap(file string) ([]syscall.SysProcIDMap, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []syscall.SysProcIDMap
	for line := range strings.Lines(string(data)) {
		var inside, outside, count int64
		if _, err := fmt.Sscan(line, &inside, &outside, &count); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		out = append(out, syscall.SysProcIDMap{ContainerID: int(inside), HostID: int(inside), Size: int(count)})
	}
	return out, nil
}

// capable says whether this process has the capability in its own namespace.
func capable(c uint) bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return os.Geteuid() == 0
	}
	return data[c/32].Effective&(1<<(c%32)) != 0
}
