//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mica-build/mica/errs"
)

// defaultParent holds the groups of callers who name no other.
const defaultParent = "mica"

// A Manager makes groups. The zero value is ready for use; it may be used
// concurrently.
type Manager struct {
	// Log, if not nil, receives what is worth knowing.
	Log *slog.Logger

	mu     sync.Mutex
	layout *layout
	prog   *os.File        // the device program
	reaped map[string]bool // parents
	made   []string        // directories of parents, outer before inner
}

// New makes a group below parent ("" is "mica") with these limits. With
// devices, only those of every sandbox can be opened in it. A limit that this
// machine cannot set is errs.ErrUnsupported; a machine without cgroups gives a
// group that is nowhere.
func (m *Manager) New(parent string, l Limits, devices bool) (*Group, error) {
	if parent == "" {
		parent = defaultParent
	}
	// A caller's parent cannot lead out of the hierarchy.
	parent = path.Clean("/" + parent)
	if parent == "/" {
		return nil, fmt.Errorf("cgroup parent %q: %w", parent, errs.ErrInvalid)
	}
	name, lay, err := m.prepare(parent)
	if err != nil {
		return nil, err
	}
	g := &Group{m: m, dirs: map[string]string{}, layout: lay, rel: path.Join(parent, name)}
	if err := m.fill(g, l, devices); err != nil {
		return nil, errors.Join(fmt.Errorf("cgroup %s: %w", g.rel, err), g.Remove())
	}
	return g, nil
}

// Close frees the device program. The Manager may be used again.
func (m *Manager) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.prog == nil {
		return nil
	}
	err := m.prog.Close()
	m.prog = nil
	return err
}

// makeDir makes the group rel below point, with its parents, of which other
// processes may remove what they made at any time.
func (m *Manager) makeDir(point, rel string) (dir string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	parts := strings.Split(strings.Trim(rel, "/"), "/")
	for range 100 {
		dir = point
		for i, p := range parts {
			dir = filepath.Join(dir, p)
			err = os.Mkdir(dir, 0o755)
			if i < len(parts)-1 && (err == nil || i == 0 && p == defaultParent) && !slices.Contains(m.made, dir) {
				m.made = append(m.made, dir)
			}
			if err != nil && !errors.Is(err, fs.ErrExist) {
				break
			}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return dir, err
}

// leave removes the parents that the Manager made, unless somebody uses them.
func (m *Manager) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, dir := range slices.Backward(m.made) {
		if err := os.Remove(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
			m.made = slices.Delete(m.made, i, i+1)
		}
	}
}

// prepare names a new group, and clears away what others have left in parent.
func (m *Manager) prepare(parent string) (string, *layout, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.layout == nil {
		lay, err := readLayout()
		if err != nil {
			return "", nil, err
		}
		m.layout = lay
	}
	if !m.reaped[parent] {
		if m.reaped == nil {
			m.reaped = map[string]bool{}
		}
		m.reaped[parent] = true
		m.reap(parent)
	}
	own, err := owner()
	if err != nil {
		return "", nil, fmt.Errorf("cgroup: %w", err)
	}
	return own + "-" + strconv.FormatUint(rand.Uint64(), 36), m.layout, nil
}

// reap kills and removes the groups of makers that are gone.
func (m *Manager) reap(parent string) {
	roots := map[string]bool{}
	if m.layout.v2 != "" {
		roots[m.layout.v2] = true
	}
	for _, point := range m.layout.v1 {
		roots[point] = true
	}
	for root := range roots {
		dir := filepath.Join(root, parent)
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if !e.IsDir() || alive(e.Name()) {
				continue
			}
			if err := destroy(filepath.Join(dir, e.Name())); err != nil && m.Log != nil {
				m.Log.Warn("remove the cgroup of a process that is gone", "cgroup", e.Name(), "error", err)
			}
		}
	}
}

func (m *Manager) fill(g *Group, l Limits, devices bool) error {
	lay := g.layout
	if lay.v2 != "" {
		if err := g.makeV2(lay, l.v2()); err != nil {
			return err
		}
	}
	settings := l.v1()
	if lay.pureV2() {
		settings = nil
	}
	if devices {
		err := m.guardV2(g)
		if err != nil && lay.v1["devices"] != "" {
			settings = append(settings, rulesV1()...)
			err = nil
		}
		g.Guarded = err == nil
		if err != nil && m.Log != nil {
			m.Log.Info("devices are kept out by nodev mounts", "error", err)
		}
	}
	return g.makeV1(lay, settings)
}

// guardV2 attaches the device program, which is loaded once.
func (m *Manager) guardV2(g *Group) error {
	if g.dir == nil {
		return errs.ErrUnsupported
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.prog == nil {
		p, err := loadProgram()
		if err != nil {
			return err
		}
		m.prog = p
	}
	return attachProgram(g.dir, m.prog)
}

// makeV2 makes the group in v2, with all controllers so that the process sees
// its limits, and writes the settings.
func (g *Group) makeV2(lay *layout, settings []setting) error {
	dir, err := g.m.makeDir(lay.v2, g.rel)
	if err != nil {
		if !lay.pureV2() || len(settings) == 0 {
			return nil // not writable here, and not needed
		}
		return err
	}
	g.dirs[""] = dir
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	g.dir = f
	if !lay.pureV2() && len(lay.controllers) == 0 {
		return nil // hybrid: v1 has the controllers
	}
	enable(lay, g.rel)
	for _, s := range settings {
		if !slices.Contains(lay.controllers, s.controller) && !lay.pureV2() {
			continue // v1 has it
		}
		if err := writeSetting(dir, s); err != nil {
			return err
		}
	}
	return nil
}

// enable gives the controllers to the group, from the top. What fails shows
// when a limit is set.
func enable(lay *layout, rel string) {
	parts := strings.Split(strings.Trim(rel, "/"), "/")
	dir := lay.v2
	for _, p := range parts {
		have, _ := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
		for _, c := range lay.controllers {
			if !slices.Contains(strings.Fields(string(have)), c) {
				os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0)
			}
		}
		dir = filepath.Join(dir, p)
	}
}

// makeV1 makes a group in each hierarchy of v1 that a setting needs.
func (g *Group) makeV1(lay *layout, settings []setting) error {
	for _, s := range settings {
		if g.dir != nil && slices.Contains(lay.controllers, s.controller) {
			continue // v2 has it
		}
		point := lay.v1[s.controller]
		if point == "" {
			return fmt.Errorf("this machine has no %s controller: %w", s.controller, errs.ErrUnsupported)
		}
		dir := g.dirs[s.controller]
		if dir == "" {
			var err error
			if dir, err = g.m.makeDir(point, g.rel); err != nil {
				return err
			}
			g.dirs[s.controller] = dir
			if s.controller == "cpuset" {
				if err := inheritCpuset(point, g.rel); err != nil {
					return err
				}
			}
		}
		if err := writeSetting(dir, s); err != nil {
			return err
		}
	}
	return nil
}

// inheritCpuset fills empty sets from above: nothing can run in an empty one.
func inheritCpuset(point, rel string) error {
	dir := point
	for _, p := range strings.Split(strings.Trim(rel, "/"), "/") {
		up := dir
		dir = filepath.Join(dir, p)
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			have, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				return err
			}
			if strings.TrimSpace(string(have)) != "" {
				continue
			}
			above, err := os.ReadFile(filepath.Join(up, file))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, file), above, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeSetting(dir string, s setting) error {
	err := os.WriteFile(filepath.Join(dir, s.file), []byte(s.value), 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		// A file of a controller cannot be made: it is not enabled here.
		return fmt.Errorf("set %s: the %s controller is not available here: %w", s.file, s.controller, errs.ErrUnsupported)
	}
	if err != nil {
		return fmt.Errorf("set %s to %q: %w", s.file, s.value, err)
	}
	return nil
}
