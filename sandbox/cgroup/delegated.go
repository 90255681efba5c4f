//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// Delegated finds a cgroup of v2 in which this process, without privileges over
// the host, may make others, and the controllers they get. systemd gives a user's
// session such a subtree. errs.ErrUnsupported if there is none.
//
// See https://systemd.io/CGROUP_DELEGATION.
func Delegated() (dir string, controllers []string, err error) {
	dir, controllers, _, err = delegated()
	return dir, controllers, err
}

// delegated also says whether it is the process's own group, which has to be
// vacated first.
func delegated() (dir string, controllers []string, own bool, err error) {
	lay, err := readLayout()
	if err != nil {
		return "", nil, false, err
	}
	if lay.v2 == "" {
		return "", nil, false, fmt.Errorf("no cgroup v2 is mounted: %w", errs.ErrUnsupported)
	}
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", nil, false, err
	}
	at := ""
	for line := range strings.Lines(string(data)) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			at = path.Clean("/" + p)
		}
	}
	// The process's own group has members, so that it cannot have controllers
	// for children: the nearest one above that has.
	for rel := at; rel != "/" && rel != ""; {
		rel = path.Dir(rel)
		dir := filepath.Join(lay.v2, rel)
		if !mayFill(dir) {
			break
		}
		if c := controllersOf(dir, "cgroup.subtree_control"); len(c) > 0 {
			return dir, c, false, nil
		}
	}
	dir = filepath.Join(lay.v2, at)
	if c := controllersOf(dir, "cgroup.controllers"); len(c) > 0 && mayFill(dir) {
		return dir, c, true, nil
	}
	return "", nil, false, fmt.Errorf("no cgroup is delegated to this user: %w", errs.ErrUnsupported)
}

// mayFill says whether groups can be made in dir and processes moved within it.
func mayFill(dir string) bool {
	for _, f := range []string{dir, filepath.Join(dir, "cgroup.procs"), filepath.Join(dir, "cgroup.subtree_control")} {
		if unix.Access(f, unix.W_OK) != nil {
			return false
		}
	}
	return true
}

func controllersOf(dir, file string) []string {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

// vacate moves this process and its parent to a leaf of dir, if they are the
// only ones there.
func vacate(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return err
	}
	leaf := filepath.Join(dir, "mica-main")
	for _, pid := range strings.Fields(string(b)) {
		if pid != strconv.Itoa(os.Getpid()) && pid != strconv.Itoa(os.Getppid()) {
			return fmt.Errorf("cgroup %s is delegated, but other processes are in it: %w", dir, errs.ErrUnsupported)
		}
	}
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	for _, pid := range strings.Fields(string(b)) {
		if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte(pid), 0); err != nil {
			return err
		}
	}
	return nil
}

// UseDelegated makes the Manager's groups in what Delegated finds.
func (m *Manager) UseDelegated() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.layout != nil {
		return nil
	}
	dir, c, own, err := delegated()
	if err == nil && own {
		err = vacate(dir)
	}
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	m.layout = &layout{v2: dir, controllers: c, v1: map[string]string{}}
	return nil
}
