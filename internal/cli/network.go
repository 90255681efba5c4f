package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/container/network"
	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/ui/format"
)

// networks gives the networks of the store.
func (a *app) networks() (*network.Folder, error) {
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	return network.NewFolder(s), nil
}

// newNetworkCmd is `mica network`.
func newNetworkCmd(a *app) *cobra.Command {
	return group("network", "Manage networks", newNetworkCreateCmd(a), newNetworkLsCmd(a), newNetworkInspectCmd(a),
		newNetworkConnectCmd(a), newNetworkDisconnectCmd(a), newNetworkRmCmd(a), newNetworkPruneCmd(a))
}

type networkOptions struct {
	driver, subnet, gateway string
	internal                bool
	labels, options         []string
}

func newNetworkCreateCmd(a *app) *cobra.Command {
	var o networkOptions
	cmd := &cobra.Command{
		Use: "create [OPTIONS] NETWORK", Short: "Create a network", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := o.network(args[0])
			if err != nil {
				return err
			}
			f, err := a.networks()
			if err != nil {
				return err
			}
			made, err := f.Create(cmd.Context(), n)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.stdout, made.ID)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.driver, "driver", "d", "bridge", "bridge")
	f.StringVar(&o.subnet, "subnet", "", "subnet, as in 10.1.2.0/24")
	f.StringVar(&o.gateway, "gateway", "", "address of the host in it (the first one)")
	f.BoolVar(&o.internal, "internal", false, "without a way out")
	f.StringArrayVar(&o.labels, "label", nil, "label, `key=value`")
	f.StringArrayVarP(&o.options, "opt", "o", nil, "refused: the bridge has no options")
	must(f.MarkHidden("opt"))
	return cmd
}

func (o networkOptions) network(name string) (network.Network, error) {
	n := network.Network{Name: name, Internal: o.internal, Labels: map[string]string{}}
	if o.driver != "bridge" {
		return n, fmt.Errorf("--driver %q: %w: there is bridge", o.driver, errs.ErrUnsupported)
	}
	if len(o.options) > 0 {
		return n, fmt.Errorf("--opt %s: %w", o.options[0], errs.ErrUnsupported)
	}
	for _, l := range o.labels {
		key, value, _ := strings.Cut(l, "=")
		n.Labels[key] = value
	}
	if o.subnet == "" {
		if o.gateway != "" {
			return n, fmt.Errorf("--gateway: %w without --subnet", errs.ErrInvalid)
		}
		return n, nil
	}
	p, err := netip.ParsePrefix(o.subnet)
	if err != nil || !p.Addr().Is4() || p.Bits() > 29 || p.Bits() < 8 {
		return n, fmt.Errorf("--subnet %q: %w: it is a subnet of IPv4 with a length from 8 to 29, such as 10.1.2.0/24", o.subnet, errs.ErrInvalid)
	}
	gateway := p.Masked().Addr().Next()
	if o.gateway != "" {
		if gateway, err = netip.ParseAddr(o.gateway); err != nil || !p.Contains(gateway) {
			return n, fmt.Errorf("--gateway %q: %w: it is an address of %s", o.gateway, errs.ErrInvalid, p.Masked())
		}
	}
	n.Subnet = netip.PrefixFrom(gateway, p.Bits())
	return n, nil
}

// A networkRow is one line of `mica network ls`.
type networkRow struct {
	CreatedAt string
	Driver    string
	ID        string `header:"NETWORK ID"`
	IPv6      string
	Internal  string
	Labels    string
	Name      string
	Scope     string
}

const networkTable = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}"

// defaultNetworks are always there. Their ids are made up, and the same everywhere.
var defaultNetworks = []struct{ name, driver, id string }{
	{"bridge", "bridge", strings.Repeat("b", 64)}, {"host", "host", strings.Repeat("c", 64)}, {"none", "null", strings.Repeat("d", 64)},
}

func newNetworkLsCmd(a *app) *cobra.Command {
	var quiet, noTrunc bool
	var spec string
	var filter []string
	cmd := &cobra.Command{
		Use: "ls [OPTIONS]", Aliases: []string{"list"}, Short: "List networks", Args: args(0, 0),
		RunE: func(_ *cobra.Command, _ []string) error {
			rows, err := a.networkRows(filter, noTrunc)
			if err != nil {
				return err
			}
			if quiet && spec == "" {
				spec = "{{.ID}}"
			}
			return format.Rows(a.stdout, spec, networkTable, rows)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&quiet, "quiet", "q", false, "only show ids")
	f.BoolVar(&noTrunc, "no-trunc", false, "do not cut ids")
	f.StringVar(&spec, "format", "", formatHelp)
	f.StringArrayVarP(&filter, "filter", "f", nil, "only networks for which it holds: driver, id, label, name, scope, type, dangling")
	return cmd
}

func (a *app) networkRows(filter []string, noTrunc bool) ([]networkRow, error) {
	fs, err := parseFilters(filter, "driver", "id", "label", "name", "scope", "type", "dangling")
	if err != nil {
		return nil, err
	}
	dangling, err := fs.boolean("dangling")
	if err != nil {
		return nil, err
	}
	f, err := a.networks()
	if err != nil {
		return nil, err
	}
	list, err := f.List()
	if err != nil {
		return nil, err
	}
	var rows []networkRow
	add := func(name, driver, id, kind string, labels map[string]string, created time.Time, internal, used bool) {
		anyOf := func(key string, is func(string) bool) bool {
			return len(fs[key]) == 0 || slices.ContainsFunc(fs[key], is)
		}
		ok := anyOf("driver", func(s string) bool { return s == driver }) && anyOf("id", func(s string) bool { return strings.HasPrefix(id, s) }) &&
			anyOf("name", func(s string) bool { return matchesName(name, s) }) && anyOf("scope", func(s string) bool { return s == "local" }) &&
			anyOf("type", func(s string) bool { return s == kind }) && hasLabels(labels, fs["label"]) &&
			(dangling == nil || *dangling == (kind == "custom" && !used))
		if !ok {
			return
		}
		if !noTrunc {
			id = id[:12]
		}
		rows = append(rows, networkRow{
			CreatedAt: format.Time(created), Driver: driver, ID: id, IPv6: "false", Internal: strconv.FormatBool(internal),
			Labels: strings.Join(sortedPairs(labels), ","), Name: name, Scope: "local",
		})
	}
	for _, n := range defaultNetworks {
		add(n.name, n.driver, n.id, "builtin", nil, time.Time{}, false, true)
	}
	for _, n := range list {
		users, err := f.Users(n)
		if err != nil {
			return nil, err
		}
		add(n.Name, "bridge", n.ID, "custom", n.Labels, n.Created, n.Internal, len(users) > 0)
	}
	slices.SortStableFunc(rows, func(x, y networkRow) int { return strings.Compare(x.Name, y.Name) })
	return rows, nil
}

// A networkInspection is what docker shows of a network.
type networkInspection struct {
	Name       string
	ID         string `json:"Id"`
	Created    string
	Scope      string
	Driver     string
	EnableIPv6 bool
	IPAM       networkIPAM
	Internal   bool
	Attachable bool
	Ingress    bool
	Containers map[string]networkMember
	Options    map[string]string
	Labels     map[string]string
}

type networkIPAM struct {
	Driver string
	Config []networkSubnet
}

type networkSubnet struct{ Subnet, Gateway string }

type networkMember struct {
	Name        string
	EndpointID  string
	MacAddress  string
	IPv4Address string
	IPv6Address string
}

func newNetworkInspectCmd(a *app) *cobra.Command {
	var spec string
	cmd := &cobra.Command{
		Use: "inspect [OPTIONS] NETWORK [NETWORK...]", Short: "Show everything about networks", Args: args(1, -1),
		RunE: func(_ *cobra.Command, args []string) error { return a.inspectNetworks(args, spec) },
	}
	cmd.Flags().StringVarP(&spec, "format", "f", "", inspectFormatHelp)
	cmd.Flags().BoolP("verbose", "v", false, "accepted for docker's sake")
	must(cmd.Flags().MarkHidden("verbose"))
	return cmd
}

func (a *app) inspectNetworks(names []string, spec string) error {
	var found []networkInspection
	var missing failures
	for _, name := range names {
		i, err := a.inspectNetwork(name)
		if errors.Is(err, errs.ErrNotFound) {
			missing = append(missing, err)
			continue
		}
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

func (a *app) inspectNetwork(name string) (networkInspection, error) {
	for _, d := range defaultNetworks {
		if d.name == name || strings.HasPrefix(d.id, name) && len(name) >= 12 {
			i := networkInspection{Name: d.name, ID: d.id, Scope: "local", Driver: d.driver, IPAM: networkIPAM{Driver: "default", Config: []networkSubnet{}}}
			i.Containers, i.Options, i.Labels = map[string]networkMember{}, map[string]string{}, map[string]string{}
			return i, a.defaultMembers(&i)
		}
	}
	f, err := a.networks()
	if err != nil {
		return networkInspection{}, err
	}
	n, err := f.Find(name)
	if err != nil {
		return networkInspection{}, err
	}
	users, err := f.Users(n)
	if err != nil {
		return networkInspection{}, err
	}
	i := networkInspection{
		Name: n.Name, ID: n.ID, Created: n.Created.Format(time.RFC3339Nano), Scope: "local", Driver: "bridge", Internal: n.Internal,
		IPAM:       networkIPAM{"default", []networkSubnet{{n.Subnet.Masked().String(), n.Subnet.Addr().String()}}},
		Containers: map[string]networkMember{}, Options: map[string]string{}, Labels: n.Labels,
	}
	addMembers(&i, users)
	return i, nil
}

func addMembers(i *networkInspection, users []*record.Container) {
	for _, c := range users {
		if c.State.Up() {
			m := networkMember{Name: c.Name}
			if c.State.Address.IsValid() {
				m.IPv4Address = c.State.Address.String()
			}
			i.Containers[c.ID] = m
		}
	}
}

// defaultMembers fills in the containers of a network that is always there.
func (a *app) defaultMembers(i *networkInspection) error {
	f, err := a.containers()
	if err != nil {
		return err
	}
	list, err := f.List()
	if err != nil {
		return err
	}
	addMembers(i, slices.DeleteFunc(list, func(c *record.Container) bool { return networksOf(c)[0] != i.Name }))
	return nil
}

func newNetworkRmCmd(a *app) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "rm [OPTIONS] NETWORK [NETWORK...]", Aliases: []string{"remove"}, Short: "Remove networks", Args: args(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := a.networks()
			if err != nil {
				return err
			}
			var failed failures
			for _, name := range args {
				n, err := f.Find(name)
				if err == nil {
					err = f.Remove(n)
				}
				if err != nil {
					if !force || !errors.Is(err, errs.ErrNotFound) {
						failed = append(failed, err)
					}
					continue
				}
				fmt.Fprintln(a.stdout, name)
			}
			return failed.err()
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "networks that are not there are no error")
	return cmd
}

func newNetworkPruneCmd(a *app) *cobra.Command {
	var force bool
	var filter []string
	cmd := &cobra.Command{
		Use: "prune [OPTIONS]", Short: "Remove networks that no container has", Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			fs, err := parseFilters(filter, "until", "label")
			if err != nil {
				return err
			}
			until, err := fs.time("until", time.Now())
			if err != nil {
				return err
			}
			if !force {
				if err := a.confirm(cmd.Context(), "WARNING! This will remove all custom networks not used by at least one container."); err != nil {
					return err
				}
			}
			return a.pruneNetworks(fs["label"], until)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	cmd.Flags().StringArrayVar(&filter, "filter", nil, "only networks for which it holds: until, label")
	return cmd
}

func (a *app) pruneNetworks(labels []string, until time.Time) error {
	f, err := a.networks()
	if err != nil {
		return err
	}
	list, err := f.List()
	if err != nil {
		return err
	}
	first := true
	for _, n := range list {
		users, err := f.Users(n)
		if err != nil {
			return err
		}
		if len(users) > 0 || !hasLabels(n.Labels, labels) || !until.IsZero() && n.Created.After(until) {
			continue
		}
		if err := f.Remove(n); err != nil {
			return err
		}
		if first {
			fmt.Fprintln(a.stdout, "Deleted Networks:")
			first = false
		}
		fmt.Fprintln(a.stdout, n.Name)
	}
	return nil
}

func newNetworkConnectCmd(a *app) *cobra.Command {
	var aliases []string
	var ip string
	cmd := &cobra.Command{
		Use: "connect [OPTIONS] NETWORK CONTAINER", Short: "Put a container that does not run into a network", Args: args(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.reconnect(cmd.Context(), args[0], args[1], func(c *record.Config, n *network.Network) error {
				if len(c.Networks) > 0 {
					return withHint(fmt.Errorf("container %s is in network %s: %w: a container has one network", c.Name, c.Networks[0].Network, errs.ErrUnsupported),
						"Disconnect it from that one first.")
				}
				if ip != "" {
					if at, err := netip.ParseAddr(ip); err != nil || !n.Subnet.Contains(at) {
						return fmt.Errorf("--ip %q: %w: it is an address of %s", ip, errs.ErrInvalid, n.Subnet.Masked())
					}
				}
				c.Networks = []record.Attachment{{Network: n.Name, Aliases: aliases, IP: ip}}
				return nil
			})
		},
	}
	cmd.Flags().StringArrayVar(&aliases, "alias", nil, "further name of the container in the network")
	cmd.Flags().StringVar(&ip, "ip", "", "address of the container in the network")
	return cmd
}

func newNetworkDisconnectCmd(a *app) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "disconnect [OPTIONS] NETWORK CONTAINER", Short: "Take a container that does not run out of a network", Args: args(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.reconnect(cmd.Context(), args[0], args[1], func(c *record.Config, n *network.Network) error {
				before := len(c.Networks)
				c.Networks = slices.DeleteFunc(slices.Clone(c.Networks), func(at record.Attachment) bool { return at.Network == n.Name })
				if len(c.Networks) == before {
					return fmt.Errorf("container %s is not connected to network %s: %w", c.ID, n.Name, errs.ErrNotFound)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "accepted: nothing has to be forced")
	return cmd
}

// reconnect changes the networks of a container that does not run.
func (a *app) reconnect(ctx context.Context, name, container string, change func(*record.Config, *network.Network) error) error {
	nets, err := a.networks()
	if err != nil {
		return err
	}
	n, err := nets.Find(name)
	if err != nil {
		return err
	}
	c, err := a.findContainer(container)
	if err != nil {
		return err
	}
	f, err := a.containers()
	if err != nil {
		return err
	}
	if c.Kept {
		return withHint(fmt.Errorf("container %s runs: %w: its networks are those it was started with", c.Name, errs.ErrUnsupported),
			"Stop it, change its network, and start it again.")
	}
	lock, err := f.Keep(ctx, c)
	if err != nil {
		return err
	}
	defer lock.Release()
	to := c.Config
	if err := change(&to, n); err != nil {
		return err
	}
	return f.SetConfig(c, to)
}
