package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/ui/format"
	"github.com/mica-build/mica/sandbox"
)

func newContainerInspectCmd(a *app) *cobra.Command {
	var spec string
	var size bool
	cmd := &cobra.Command{
		Use: "inspect [OPTIONS] CONTAINER [CONTAINER...]", Short: "Show everything about containers", Args: args(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(_ *cobra.Command, args []string) error { return a.inspectContainers(args, spec, size) },
	}
	cmd.Flags().StringVarP(&spec, "format", "f", "", inspectFormatHelp)
	cmd.Flags().BoolVarP(&size, "size", "s", false, "show what they have written, too")
	return cmd
}

func (a *app) inspectContainers(names []string, spec string, size bool) error {
	var found []containerInspection
	var missing failures
	for _, n := range names {
		c, err := a.findContainer(n)
		if errors.Is(err, errs.ErrNotFound) {
			missing = append(missing, err)
			continue
		}
		if err != nil {
			return err
		}
		i, err := a.inspectContainer(c, size)
		if err != nil {
			return err
		}
		found = append(found, i)
	}
	if err := format.Objects(a.stdout, spec, found); err != nil {
		return err
	}
	return missing.err()
}

// A containerInspection is what docker shows of a container, as far as mica has it.
type containerInspection struct {
	ID              string `json:"Id"`
	Created         string
	Path            string
	Args            []string
	State           inspectedState
	Image           string
	ResolvConfPath  string
	HostnamePath    string
	HostsPath       string
	LogPath         string
	Name            string
	RestartCount    int
	Driver          string
	Platform        string
	MountLabel      string
	ProcessLabel    string
	AppArmorProfile string
	ExecIDs         []string
	HostConfig      inspectedHostConfig
	GraphDriver     inspectedDriver
	SizeRw          *int64 `json:",omitempty"`
	Mounts          []inspectedMount
	Config          inspectedConfig
	NetworkSettings inspectedNetwork
}

type inspectedState struct {
	Status     string
	Running    bool
	Paused     bool
	Restarting bool
	OOMKilled  bool
	Dead       bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  string
	FinishedAt string
	Health     *inspectedHealth `json:",omitempty"`
}

type inspectedHealth struct {
	Status        string
	FailingStreak int
	Log           []inspectedResult
}

type inspectedResult struct {
	Start, End string
	ExitCode   int
	Output     string
}

type inspectedDriver struct {
	Name string
	Data map[string]string
}

type inspectedMount struct {
	Type        string
	Name        string `json:",omitempty"`
	Source      string
	Destination string
	Driver      string `json:",omitempty"`
	Mode        string
	RW          bool
	Propagation string
}

type inspectedBinding struct{ HostIp, HostPort string } //nolint:revive // docker's name

type inspectedRestart struct {
	Name              string
	MaximumRetryCount int
}

type inspectedLog struct {
	Type   string
	Config map[string]string
}

type inspectedHostConfig struct {
	Binds           []string
	ContainerIDFile string
	LogConfig       inspectedLog
	NetworkMode     string
	PortBindings    map[string][]inspectedBinding
	RestartPolicy   inspectedRestart
	AutoRemove      bool
	VolumesFrom     []string
	CapAdd          []string
	CapDrop         []string
	Dns             []string //nolint:revive // docker's name
	ExtraHosts      []string
	GroupAdd        []string
	Privileged      bool
	PublishAllPorts bool
	ReadonlyRootfs  bool
	ShmSize         int64
	Runtime         string
	CpuShares       uint64 //nolint:revive // docker's name
	Memory          int64
	NanoCpus        int64 //nolint:revive // docker's name
	CgroupParent    string
	CpuPeriod       uint64 //nolint:revive // docker's name
	CpuQuota        int64  //nolint:revive // docker's name
	CpusetCpus      string
	CpusetMems      string
	MemorySwap      int64
	PidsLimit       *int64
	Ulimits         []sandbox.Ulimit
	MaskedPaths     []string
	ReadonlyPaths   []string
}

type inspectedConfig struct {
	Hostname     string
	Domainname   string
	User         string
	AttachStdin  bool
	AttachStdout bool
	AttachStderr bool
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Tty          bool
	OpenStdin    bool
	StdinOnce    bool
	Env          []string
	Cmd          []string
	Healthcheck  *record.Health `json:",omitempty"`
	Image        string
	Volumes      map[string]struct{}
	WorkingDir   string
	Entrypoint   []string
	OnBuild      []string
	Labels       map[string]string
	StopSignal   string `json:",omitempty"`
	StopTimeout  *int   `json:",omitempty"`
}

type inspectedNetwork struct {
	Ports       map[string][]inspectedBinding
	Gateway     string
	IPAddress   string
	IPPrefixLen int
	MacAddress  string
	Networks    map[string]inspectedEndpoint
}

type inspectedEndpoint struct {
	Aliases     []string
	NetworkID   string
	Gateway     string
	IPAddress   string
	IPPrefixLen int
	MacAddress  string
}

func (a *app) inspectContainer(c *record.Container, size bool) (containerInspection, error) {
	args := c.Options.Args(c.Of)
	i := containerInspection{
		ID: c.ID, Created: stamp(c.Created), Args: []string{}, Image: c.ImageID.String(), LogPath: c.LogPath(), Name: "/" + c.Name,
		RestartCount: c.State.Restarts, Driver: "overlay", Platform: c.Platform.OS,
		GraphDriver: inspectedDriver{"overlay", map[string]string{"UpperDir": c.Upper(), "WorkDir": c.Work()}},
		State:       inspectState(c), HostConfig: inspectHost(c), Config: inspectConfig(c), NetworkSettings: inspectNetwork(c),
	}
	if len(args) > 0 {
		i.Path, i.Args = args[0], append(i.Args, args[1:]...)
	}
	var err error
	if i.Mounts, err = a.inspectMounts(c); err != nil || !size {
		return i, err
	}
	n, err := treeSize(c.Upper())
	i.SizeRw = &n
	return i, err
}

// stamp is a time as docker writes it; the zero time is year 1.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func inspectState(c *record.Container) inspectedState {
	s := c.State
	out := inspectedState{
		Status: string(s.Status), Running: s.Up() || s.Status == record.Restarting, Paused: s.Status == record.Paused,
		Restarting: s.Status == record.Restarting, Dead: s.Status == record.Dead, OOMKilled: s.OOMKilled,
		Pid: s.PID, ExitCode: s.ExitCode, Error: s.Error, StartedAt: stamp(s.Started), FinishedAt: stamp(s.Finished),
	}
	if s.Health != nil {
		h := &inspectedHealth{Status: s.Health.Status, FailingStreak: s.Health.Failing, Log: []inspectedResult{}}
		for _, r := range s.Health.Log {
			h.Log = append(h.Log, inspectedResult{stamp(r.Start), stamp(r.End), r.ExitCode, r.Output})
		}
		out.Health = h
	}
	return out
}

func inspectHost(c *record.Container) inspectedHostConfig {
	s := c.Options.Sandbox
	h := inspectedHostConfig{
		LogConfig: inspectedLog{c.Log.Driver, map[string]string{}}, NetworkMode: networksOf(c)[0],
		PortBindings: bindings(c.Ports), RestartPolicy: inspectedRestart{c.Restart.Name, c.Restart.Retry}, AutoRemove: c.AutoRemove,
		CapAdd: s.CapAdd, CapDrop: s.CapDrop, Dns: s.DNS, GroupAdd: s.Groups, Privileged: s.Insecure, ReadonlyRootfs: s.ReadonlyRoot,
		ShmSize: s.ShmSize, Runtime: "mica", CpuShares: s.Resources.CPUShares, Memory: s.Resources.Memory, CgroupParent: s.CgroupParent,
		CpuPeriod: s.Resources.CPUPeriod, CpuQuota: s.Resources.CPUQuota, CpusetCpus: s.Resources.CpusetCPUs, CpusetMems: s.Resources.CpusetMems,
		MemorySwap: s.Resources.MemorySwap, Ulimits: s.Ulimits,
	}
	if s.Resources.CPUPeriod > 0 {
		h.NanoCpus = s.Resources.CPUQuota * 1e9 / int64(s.Resources.CPUPeriod)
	}
	if h.ShmSize == 0 {
		h.ShmSize = 64 << 20
	}
	if n := s.Resources.PidsLimit; n != 0 {
		h.PidsLimit = &n
	}
	if c.Log.MaxSize > 0 {
		h.LogConfig.Config["max-size"] = strconv.FormatInt(c.Log.MaxSize, 10)
	}
	if c.Log.MaxFile > 0 {
		h.LogConfig.Config["max-file"] = strconv.Itoa(c.Log.MaxFile)
	}
	for _, e := range s.ExtraHosts {
		h.ExtraHosts = append(h.ExtraHosts, e.Host+":"+e.IP)
	}
	for _, m := range s.Mounts {
		if m.Kind == sandbox.Bind {
			b := m.Source + ":" + m.Target
			if m.ReadOnly {
				b += ":ro"
			}
			h.Binds = append(h.Binds, b)
		}
	}
	for _, v := range c.Volumes {
		if !v.Anonymous {
			b := v.Name + ":" + v.Target
			if v.ReadOnly {
				b += ":ro"
			}
			h.Binds = append(h.Binds, b)
		}
	}
	return h
}

func bindings(ports []record.Port) map[string][]inspectedBinding {
	out := map[string][]inspectedBinding{}
	for _, p := range ports {
		key := fmt.Sprintf("%d/%s", p.Container, p.Protocol)
		b := inspectedBinding{HostIp: p.HostIP}
		if p.Host != 0 {
			b.HostPort = strconv.Itoa(int(p.Host))
		}
		out[key] = append(out[key], b)
	}
	return out
}

func inspectConfig(c *record.Container) inspectedConfig {
	p := c.Options.Process(c.Of)
	of := c.Of.Config
	out := inspectedConfig{
		Hostname: c.Options.Sandbox.Hostname, User: p.User, Tty: p.Terminal, OpenStdin: c.OpenStdin, StdinOnce: c.StdinOnce,
		AttachStdin: c.StdinOnce, AttachStdout: true, AttachStderr: true,
		Env: slices.DeleteFunc(slices.Clone(p.Env), func(kv string) bool { return kv == "HOSTNAME="+c.Options.Sandbox.Hostname || kv == "TERM=xterm" }),
		Cmd: of.Cmd, Entrypoint: of.Entrypoint, Image: c.Image, Volumes: of.Volumes, WorkingDir: p.Dir, Labels: c.Labels,
		Healthcheck: c.Health, StopSignal: c.StopSignal, StopTimeout: c.StopTimeout,
	}
	if out.StopSignal == "" {
		out.StopSignal = of.StopSignal
	}
	if c.Options.Entrypoint != nil {
		out.Entrypoint, out.Cmd = nil, nil
		if *c.Options.Entrypoint != "" {
			out.Entrypoint = []string{*c.Options.Entrypoint}
		}
	}
	if len(c.Options.Command) > 0 {
		out.Cmd = c.Options.Command
	}
	if len(c.Expose) > 0 {
		out.ExposedPorts = map[string]struct{}{}
		for _, e := range c.Expose {
			out.ExposedPorts[e] = struct{}{}
		}
	}
	return out
}

func inspectNetwork(c *record.Container) inspectedNetwork {
	n := inspectedNetwork{Ports: map[string][]inspectedBinding{}, Networks: map[string]inspectedEndpoint{}}
	for _, e := range c.Expose {
		n.Ports[e] = nil
	}
	for key, b := range bindings(c.State.Ports) {
		n.Ports[key] = b
	}
	for i, name := range networksOf(c) {
		e := inspectedEndpoint{}
		if len(c.Networks) > 0 {
			e.Aliases = c.Networks[i].Aliases
		}
		if i == 0 && c.State.Up() && c.State.Address.IsValid() {
			e.IPAddress, e.IPPrefixLen = c.State.Address.Addr().String(), c.State.Address.Bits()
			e.Gateway = firstOf(c.State.Address).String()
		}
		if len(c.Networks) == 0 { // docker has them at the top for the default bridge only
			n.IPAddress, n.IPPrefixLen, n.Gateway = e.IPAddress, e.IPPrefixLen, e.Gateway
		}
		n.Networks[name] = e
	}
	return n
}

// firstOf is the first address of a network, which is its gateway.
func firstOf(p netip.Prefix) netip.Addr { return p.Masked().Addr().Next() }

func (a *app) inspectMounts(c *record.Container) ([]inspectedMount, error) {
	out := []inspectedMount{}
	vs, err := a.volumes()
	if err != nil {
		return nil, err
	}
	for _, v := range c.Volumes {
		m := inspectedMount{Type: "volume", Name: v.Name, Destination: v.Target, Driver: "local", RW: !v.ReadOnly}
		if vol, err := vs.Find(v.Name); err == nil {
			m.Source = vol.Dir()
		}
		out = append(out, m)
	}
	for _, m := range c.Options.Sandbox.Mounts {
		kind := "bind"
		if m.Kind == sandbox.Tmpfs {
			kind = "tmpfs"
		}
		out = append(out, inspectedMount{Type: kind, Source: m.Source, Destination: path.Clean(m.Target), RW: !m.ReadOnly, Propagation: "rprivate"})
	}
	return out, nil
}
