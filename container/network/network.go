//go:build linux

// Package network keeps the networks that users make, each of which is a bridge of the
// host: the one of package sandbox/network.
//
// A network is a file networks/NAME.json of a store. The bridge is made when a container
// first needs it, and is gone after a restart of the machine until then.
package network

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/atomicfile"
	bridge "github.com/mica-build/mica/sandbox/network"
	"github.com/mica-build/mica/store"
)

// A Network is one of them.
type Network struct {
	ID       string // 64 hex digits
	Name     string
	Created  time.Time
	Subnet   netip.Prefix // the bridge's address, with the length of the subnet
	Internal bool
	Labels   map[string]string
	Options  map[string]string
}

// Link is the name of its bridge.
func (n *Network) Link() string { return bridge.OwnPrefix + n.ID[:6] }

// A Folder is the networks of a store.
type Folder struct {
	store      *store.Store
	containers *record.Folder
	dir        string
}

// NewFolder gives the networks of s. Nothing is read or made yet.
func NewFolder(s *store.Store) *Folder {
	return &Folder{s, record.NewFolder(s), filepath.Join(s.Root(), "networks")}
}

var validName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// predefined are the networks that are always there.
var predefined = []string{"bridge", "host", "none", "default", "container"}

// Create makes a network. A name that is taken is errs.ErrExists; a subnet that is taken
// errs.ErrConflict. n.ID, Created and, if it is not valid, Subnet are chosen.
func (f *Folder) Create(ctx context.Context, n Network) (*Network, error) {
	switch {
	case !validName.MatchString(n.Name):
		return nil, fmt.Errorf("network name %q: %w: it has letters, digits, and _.- after the first", n.Name, errs.ErrInvalid)
	case slices.Contains(predefined, n.Name):
		return nil, fmt.Errorf("operation is not permitted on predefined %s network: %w", n.Name, errs.ErrInvalid)
	}
	unlock, err := f.store.Lock(ctx, "networks")
	if err != nil {
		return nil, err
	}
	defer unlock()
	all, err := f.List()
	if err != nil {
		return nil, err
	}
	var taken []netip.Prefix
	for _, o := range all {
		if o.Name == n.Name {
			return nil, fmt.Errorf("network with name %s already exists: %w", n.Name, errs.ErrExists)
		}
		if n.Subnet.IsValid() && n.Subnet.Overlaps(o.Subnet) {
			return nil, fmt.Errorf("subnet %s overlaps %s of network %s: %w", n.Subnet.Masked(), o.Subnet.Masked(), o.Name, errs.ErrConflict)
		}
		taken = append(taken, o.Subnet.Masked())
	}
	if !n.Subnet.IsValid() {
		if n.Subnet, err = bridge.FreeSubnet(taken); err != nil {
			return nil, fmt.Errorf("create network %s: %w", n.Name, err)
		}
	}
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails
	n.ID, n.Created = hex.EncodeToString(b[:]), time.Now()
	if err := f.write(&n); err != nil {
		return nil, fmt.Errorf("create network %s: %w", n.Name, err)
	}
	return &n, nil
}

func (f *Folder) write(n *Network) error {
	raw, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	return atomicfile.Write(f.path(n.Name), raw, atomicfile.Options{Perm: 0o600})
}

func (f *Folder) path(name string) string { return filepath.Join(f.dir, name+".json") }

// List reads all networks, by name.
func (f *Folder) List() ([]*Network, error) {
	entries, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	var out []*Network
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		n, err := f.read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

func (f *Folder) read(name string) (*Network, error) {
	raw, err := os.ReadFile(f.path(name))
	if err != nil {
		return nil, err
	}
	var n Network
	if err := json.Unmarshal(raw, &n); err != nil || len(n.ID) < 6 || n.Name != name {
		return nil, fmt.Errorf("network %s: %w: %w", name, errs.ErrInvalid, err)
	}
	return &n, nil
}

// Find reads the network that a name, an ID or the beginning of one ID means.
func (f *Folder) Find(name string) (*Network, error) {
	list, err := f.List()
	if err != nil {
		return nil, err
	}
	var found *Network
	for _, n := range list {
		if n.Name == name || n.ID == name {
			return n, nil
		}
		if name != "" && strings.HasPrefix(n.ID, name) {
			if found != nil {
				return nil, fmt.Errorf("network %s is ambiguous: %w", name, errs.ErrConflict)
			}
			found = n
		}
	}
	if found == nil {
		return nil, &NotFoundError{name}
	}
	return found, nil
}

// A NotFoundError says that there is no such network. It matches errs.ErrNotFound.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string { return "network " + e.Name + " not found" }

// Is matches errs.ErrNotFound.
func (e *NotFoundError) Is(target error) bool { return target == errs.ErrNotFound }

// Users are the containers of a network.
func (f *Folder) Users(n *Network) ([]*record.Container, error) {
	list, err := f.containers.List()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(c *record.Container) bool {
		return !slices.ContainsFunc(c.Networks, func(a record.Attachment) bool { return a.Network == n.Name })
	}), nil
}

// Remove removes a network and its bridge. One in which a container runs is
// errs.ErrConflict.
func (f *Folder) Remove(n *Network) error {
	users, err := f.Users(n)
	if err != nil {
		return err
	}
	for _, c := range users {
		if c.State.Up() {
			return fmt.Errorf("error while removing network: network %s has active endpoints (name:%q id:%q): %w", n.Name, c.Name, c.ID[:12], errs.ErrConflict)
		}
	}
	b := bridge.Bridge{Link: n.Link()}
	if err := b.Remove(); err != nil {
		return err
	}
	if err := os.Remove(f.path(n.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove network %s: %w", n.Name, err)
	}
	return nil
}

// Bridge is the bridge of a network, which answers the names of its containers.
func (f *Folder) Bridge(n *Network) *bridge.Bridge {
	return &bridge.Bridge{
		Link: n.Link(), Subnet: n.Subnet, Internal: n.Internal,
		Lookup: func(name string) []netip.Addr { return f.lookup(n, name) },
	}
}

// lookup finds the running containers that have a name in a network: their own, an alias,
// their host name or the beginning of their ID that is shown.
func (f *Folder) lookup(n *Network, name string) []netip.Addr {
	users, err := f.Users(n)
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for _, c := range users {
		if c.State.Up() && c.State.Address.IsValid() && answersTo(c, n, name) {
			out = append(out, c.State.Address.Addr())
		}
	}
	return out
}

func answersTo(c *record.Container, n *Network, name string) bool {
	if strings.EqualFold(c.Name, name) || c.ID[:12] == name || strings.EqualFold(c.Options.Sandbox.Hostname, name) {
		return true
	}
	return slices.ContainsFunc(c.Networks, func(a record.Attachment) bool {
		return a.Network == n.Name && slices.ContainsFunc(a.Aliases, func(s string) bool { return strings.EqualFold(s, name) })
	})
}
