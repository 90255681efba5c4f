package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/container/volume"
	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox"
)

// makeContainer puts the container that the flags ask for on record.
func (a *app) makeContainer(ctx context.Context, o *runOptions, name string, command []string) (*record.Container, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	options, err := o.container(a, command)
	if err != nil {
		return nil, err
	}
	if a.steps, err = o.steps.read(); err != nil {
		return nil, err
	}
	m, err := a.imageToRun(ctx, o, name)
	if err != nil {
		return nil, err
	}
	if err := makeSources(options.Sandbox.Mounts); err != nil {
		return nil, err
	}
	c := record.Config{
		ID: newContainerID(), Name: strings.TrimPrefix(o.name, "/"), Created: time.Now(),
		Image: name, ImageID: m.ID, Manifest: m.Manifest, Platform: m.Config.Platform, Layers: m.Layers, Of: m.Config,
		Options: options, OpenStdin: o.interactive, StdinOnce: o.interactive && !o.detach, AutoRemove: o.rm,
	}
	if err := a.describeContainer(&c, o, m); err != nil {
		return nil, err
	}
	return a.recordContainer(ctx, c, o)
}

// describeContainer fills in what the flags and the image say.
func (a *app) describeContainer(c *record.Config, o *runOptions, m engine.Image) (err error) {
	if c.Options.Sandbox.Hostname == "" {
		c.Options.Sandbox.Hostname = c.ID[:12]
		if c.Options.Sandbox.Network == sandbox.Host {
			if c.Options.Sandbox.Hostname, err = os.Hostname(); err != nil {
				return err
			}
		}
	}
	c.Options.Sandbox.Accounting = o.detach || o.tty
	return firstError(
		func() (err error) { c.Restart, err = parseRestart(o.restart); return err },
		func() (err error) { c.Labels, err = o.parseLabels(m.Config.Config.Labels); return err },
		func() (err error) { c.Health, err = o.health.parse(m.Config); return err },
		func() (err error) { c.Log, err = o.parseLog(); return err },
		func() (err error) { c.StopSignal, c.StopTimeout, err = o.parseStop(); return err },
		func() (err error) { c.Expose, err = exposed(m.Config.Config.ExposedPorts, o.expose); return err },
		func() (err error) { c.Ports, err = o.ports(c.Expose); return err },
		func() error { return a.volumesOf(c, o) },
		func() error { return a.networksFor(c, o) },
	)
}

// networksFor finds the network of one's own that the flags name.
func (a *app) networksFor(c *record.Config, o *runOptions) error {
	_, own, err := parseRunNetwork(o.network)
	if err != nil {
		return err
	}
	if own == nil {
		if len(o.networkAlias) > 0 || o.ip != "" {
			return errors.New("network-scoped aliases and addresses are only supported for user-defined networks")
		}
		return nil
	}
	f, err := a.networks()
	if err != nil {
		return err
	}
	n, err := f.Find(own.Network)
	if err != nil {
		return err
	}
	own.Network = n.Name
	own.Aliases = append(own.Aliases, o.networkAlias...)
	if o.ip != "" {
		own.IP = o.ip
	}
	if own.IP != "" {
		ip, err := netip.ParseAddr(own.IP)
		if err != nil {
			return fmt.Errorf("--ip %q: %w: %w", own.IP, errs.ErrInvalid, err)
		}
		if !n.Subnet.Contains(ip) {
			return fmt.Errorf("--ip %s: %w: it is not in the subnet %s of network %s", ip, errs.ErrInvalid, n.Subnet.Masked(), n.Name)
		}
	}
	c.Networks = []record.Attachment{*own}
	return nil
}

// volumesOf lists the container's volumes: those of the flags, those of other containers,
// and those of the image where nothing else is mounted.
func (a *app) volumesOf(c *record.Config, o *runOptions) error {
	_, named, err := parseVolumes(o.volumes)
	if err != nil {
		return err
	}
	_, mounted, err := parseMounts(o.mounts)
	if err != nil {
		return err
	}
	c.Volumes = append(named, mounted...)
	taken := map[string]bool{}
	for _, m := range c.Options.Sandbox.Mounts {
		taken[path.Clean(m.Target)] = true
	}
	for _, v := range c.Volumes {
		if taken[v.Target] {
			return fmt.Errorf("duplicate mount point: %s: %w", v.Target, errs.ErrInvalid)
		}
		taken[v.Target] = true
	}
	if err := a.volumesFrom(c, o.volumesFrom, taken); err != nil {
		return err
	}
	for _, v := range slices.Sorted(maps.Keys(c.Of.Config.Volumes)) {
		if v = path.Clean("/" + v); v != "/" && !taken[v] {
			taken[v] = true
			c.Volumes = append(c.Volumes, record.Volume{Target: v})
		}
	}
	for i := range c.Volumes {
		if v := &c.Volumes[i]; v.Name == "" {
			v.Name, v.Anonymous = volume.NewName(), true
		}
	}
	// A volume below another one has to come after it.
	slices.SortStableFunc(c.Volumes, func(x, y record.Volume) int { return strings.Compare(x.Target, y.Target) })
	return nil
}

// volumesFrom adds what other containers have mounted.
func (a *app) volumesFrom(c *record.Config, list []string, taken map[string]bool) error {
	for _, from := range list {
		name, mode, _ := strings.Cut(from, ":")
		if !slices.Contains([]string{"", "ro", "rw", "z", "Z"}, mode) {
			return fmt.Errorf("--volumes-from %q: %w: the mode is ro or rw", from, errs.ErrInvalid)
		}
		other, err := a.findContainer(name)
		if err != nil {
			return err
		}
		for _, v := range other.Volumes {
			if !taken[v.Target] {
				taken[v.Target] = true
				v.ReadOnly, v.Anonymous = v.ReadOnly || mode == "ro", false
				c.Volumes = append(c.Volumes, v)
			}
		}
		for _, m := range other.Options.Sandbox.Mounts {
			if m.Kind == sandbox.Bind && !taken[path.Clean(m.Target)] {
				taken[path.Clean(m.Target)] = true
				m.ReadOnly = m.ReadOnly || mode == "ro"
				c.Options.Sandbox.Mounts = append(c.Options.Sandbox.Mounts, m)
			}
		}
	}
	return nil
}

// recordContainer gives the container a name and writes it down.
func (a *app) recordContainer(ctx context.Context, c record.Config, o *runOptions) (*record.Container, error) {
	f, err := a.containers()
	if err != nil {
		return nil, err
	}
	cid, err := openCIDFile(o.cidFile)
	if err != nil {
		return nil, err
	}
	out, err := createNamed(ctx, f, c)
	if err == nil && cid != nil {
		_, err = cid.WriteString(c.ID)
	}
	if cid != nil {
		err = errors.Join(err, cid.Close())
		if out == nil {
			_ = os.Remove(o.cidFile)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := a.makeVolumes(ctx, out); err != nil {
		return nil, errors.Join(err, f.Remove(out))
	}
	a.event(out, "create", nil)
	return out, nil
}

// makeVolumes makes the volumes that are not there.
func (a *app) makeVolumes(ctx context.Context, c *record.Container) error {
	vs, err := a.volumes()
	if err != nil {
		return err
	}
	for _, v := range c.Volumes {
		if _, _, err := vs.Create(ctx, volume.Volume{Name: v.Name, Anonymous: v.Anonymous}); err != nil {
			return err
		}
	}
	return nil
}

// createNamed tries other names if nobody asked for one.
func createNamed(ctx context.Context, f *record.Folder, c record.Config) (*record.Container, error) {
	if c.Name != "" {
		return f.Create(ctx, c)
	}
	for try := 0; ; try++ {
		if c.Name = randomName(); try > 3 {
			c.Name += "_" + c.ID[:6]
		}
		out, err := f.Create(ctx, c)
		if !errors.Is(err, errs.ErrExists) || try > 10 {
			return out, err
		}
	}
}

// openCIDFile makes the file, which must not be there.
func openCIDFile(name string) (*os.File, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("container ID file found, make sure the other container isn't running or delete %s", name)
	}
	return f, err
}

func newContainerID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// The words that names are made of.
var (
	nameColours = strings.Fields("amber azure beige black blond blue brown coral cream cyan golden green grey indigo ivory jade lilac lime mauve olive opal orange pearl pink plum purple red ruby russet rust sable silver tan teal violet white yellow")
	nameStones  = strings.Fields("agate amber basalt beryl biotite calcite chalk chert chlorite citrine diorite dolomite feldspar flint fluorite gabbro galena garnet gneiss granite graphite gypsum halite jasper kaolin kyanite lepidolite limestone marble marl mica obsidian olivine onyx opal pumice pyrite quartz rhyolite rutile sandstone schist shale slate spinel talc topaz tuff zircon")
)

// randomName is a name for a container that nobody gave one.
func randomName() string {
	var b [2]byte
	_, _ = rand.Read(b[:])
	return nameColours[int(b[0])%len(nameColours)] + "_" + nameStones[int(b[1])%len(nameStones)]
}
