package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mica-build/mica/container"
	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox"
)

// exitNotRun is the exit code when there was no container to run, as in docker.
const exitNotRun = 125

// runOptions are the flags of `mica run` as they were typed.
type runOptions struct {
	rm, interactive, tty bool
	env, envFiles        []string
	volumes, tmpfs       []string
	mounts               []string
	workdir, user        string
	groups               []string
	entrypoint           string
	setEntrypoint        bool
	network, hostname    string
	addHosts, dns        []string
	dnsSearch, dnsOpts   []string
	domainname           string
	securityOpts         []string
	sysctls              []string
	oomScoreAdj          int
	init                 bool
	readOnly, privileged bool
	capAdd, capDrop      []string
	platform, pull       string
	pidsLimit            int64
	limits               limitFlags
	steps                stepFlags
	sigProxy             bool

	containerFlags
	unsupported []string // docker's flags that were given and do nothing here
}

// newRunCmd is `mica run`.
func newRunCmd(a *app) *cobra.Command {
	o := &runOptions{}
	cmd := &cobra.Command{
		Use:                   "run [OPTIONS] IMAGE [COMMAND] [ARG...]",
		Short:                 "Create a container of an image and run a command in it",
		Args:                  args(1, -1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.setEntrypoint = cmd.Flags().Changed("entrypoint")
			o.unsupported = unsupportedFlags(cmd.Flags())
			return runRun(cmd.Context(), a, o, args[0], args[1:])
		},
	}
	o.addTo(cmd.Flags())
	cmd.Flags().BoolVarP(&o.detach, "detach", "d", false, "run in the background and print the container's id")
	cmd.Flags().BoolVar(&o.sigProxy, "sig-proxy", true, "pass signals on to the command, unless it has a terminal")
	cmd.Flags().StringVar(&o.detachKeys, "detach-keys", "", detachKeysHelp)
	return cmd
}

// newCreateCmd is `mica create`.
func newCreateCmd(a *app) *cobra.Command {
	o := &runOptions{}
	cmd := &cobra.Command{
		Use:                   "create [OPTIONS] IMAGE [COMMAND] [ARG...]",
		Short:                 "Create a container, to be started later",
		Args:                  args(1, -1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.setEntrypoint = cmd.Flags().Changed("entrypoint")
			o.unsupported = unsupportedFlags(cmd.Flags())
			c, err := a.makeContainer(cmd.Context(), o, args[0], args[1:])
			if err != nil {
				return err
			}
			fmt.Fprintln(a.stdout, c.ID)
			return nil
		},
	}
	o.addTo(cmd.Flags())
	return cmd
}

func (o *runOptions) addTo(f *pflag.FlagSet) {
	f.SetInterspersed(false)              // what follows the image belongs to the command
	f.Bool("help", false, "help for run") // without -h, which is --hostname
	f.BoolVar(&o.rm, "rm", false, "remove the container, with its anonymous volumes, when it ends")
	f.BoolVarP(&o.interactive, "interactive", "i", false, "connect standard input")
	f.BoolVarP(&o.tty, "tty", "t", false, "give the command a terminal")
	f.StringArrayVarP(&o.env, "env", "e", nil, "environment variable, `NAME=VALUE`, or NAME to pass it on")
	f.StringArrayVar(&o.envFiles, "env-file", nil, "`file` with environment variables, one a line")
	f.StringArrayVarP(&o.volumes, "volume", "v", nil, "bind mount or volume, `/host:/container[:ro]`, `name:/container` or `/container`")
	f.StringArrayVar(&o.tmpfs, "tmpfs", nil, "tmpfs mount, `/path[:size=64m,mode=1777]`")
	f.StringArrayVar(&o.mounts, "mount", nil, "mount, `fields` as in type=bind,source=/host,target=/container,readonly or type=tmpfs,target=/t,tmpfs-size=64m")
	f.StringVarP(&o.workdir, "workdir", "w", "", "working directory")
	f.StringVarP(&o.user, "user", "u", "", "user, `name|uid[:group|gid]`")
	f.StringArrayVar(&o.groups, "group-add", nil, "further group")
	f.StringVar(&o.entrypoint, "entrypoint", "", "command instead of the image's entrypoint")
	f.StringVar(&o.network, "network", "", "network: bridge (default), none, host, or one that was created")
	f.StringVar(&o.network, "net", "", "as --network")
	must(f.MarkHidden("net"))
	f.StringVarP(&o.hostname, "hostname", "h", "", "host name of the container")
	f.StringArrayVar(&o.addHosts, "add-host", nil, "line for /etc/hosts, `host:ip`")
	f.StringArrayVar(&o.dns, "dns", nil, "name server instead of the host's")
	f.StringArrayVar(&o.dnsSearch, "dns-search", nil, "search domain instead of the host's; . for none")
	f.StringArrayVar(&o.dnsOpts, "dns-option", nil, "option of the resolver instead of the host's")
	f.StringArrayVar(&o.dnsOpts, "dns-opt", nil, "as --dns-option")
	must(f.MarkHidden("dns-opt"))
	f.StringVar(&o.domainname, "domainname", "", "NIS domain name of the container")
	f.StringArrayVar(&o.securityOpts, "security-opt", nil, "`no-new-privileges`, seccomp=unconfined, seccomp=FILE or systempaths=unconfined")
	f.StringArrayVar(&o.sysctls, "sysctl", nil, "kernel parameter of the container's own, `name=value`")
	f.IntVar(&o.oomScoreAdj, "oom-score-adj", 0, "how soon the kernel kills it for want of memory, -1000 to 1000")
	f.BoolVar(&o.init, "init", false, "run a small init before the command, which reaps orphans and passes signals on")
	f.BoolVar(&o.readOnly, "read-only", false, "mount the root filesystem read-only")
	f.BoolVar(&o.privileged, "privileged", false, "give all capabilities and the host's devices")
	f.StringArrayVar(&o.capAdd, "cap-add", nil, "capability to add")
	f.StringArrayVar(&o.capDrop, "cap-drop", nil, "capability to drop")
	f.StringVar(&o.platform, "platform", os.Getenv("DOCKER_DEFAULT_PLATFORM"), "platform of the image")
	f.StringVar(&o.pull, "pull", "missing", "when to pull the image: always, missing or never")
	f.Int64Var(&o.pidsLimit, "pids-limit", 0, "limit of processes")
	o.limits.addTo(f)
	o.steps.addTo(f)

	o.containerFlags.addTo(f)
	addIdleFlags(f)
}

// check refuses what cannot be.
func (o *runOptions) check() error {
	switch {
	case len(o.unsupported) > 0:
		return fmt.Errorf("%s: %w: mica has no such thing yet", strings.Join(o.unsupported, ", "), errs.ErrUnsupported)
	case o.rm && o.restart != "" && o.restart != "no":
		return errors.New("conflicting options: cannot specify both --restart and --rm")
	case o.detach && len(o.attachTo) > 0:
		return errors.New("conflicting options: cannot specify both --attach and --detach")
	case o.name != "" && !containerName.MatchString(o.name):
		return fmt.Errorf("invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", o.name)
	case !slices.Contains([]string{"always", "missing", "never"}, o.pull):
		return fmt.Errorf("--pull %q: %w: it is always, missing or never", o.pull, errs.ErrInvalid)
	}
	return nil
}

// containerName matches the names that docker lets a container have.
var containerName = regexp.MustCompile(`^/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// runRun is `mica run IMAGE [COMMAND...]`. Whatever keeps the command from
// running is exit code 125.
func runRun(ctx context.Context, a *app, o *runOptions, name string, command []string) error {
	err := a.runContainer(ctx, o, name, command)
	var exit *sandbox.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return withCode(exit.Code, exit.Err)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, new(*codeError)):
		return err
	}
	return withCode(exitNotRun, err)
}

func (a *app) runContainer(ctx context.Context, o *runOptions, name string, command []string) error {
	c, err := a.makeContainer(ctx, o, name, command)
	if err != nil {
		return err
	}
	switch {
	case o.detach:
		if err := a.startMonitor(ctx, c, false); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, c.ID)
		return nil
	case o.tty || c.Restart.Name != "no":
		return a.runAttached(ctx, c, a.attachedStreams(o), attachOptions{start: true, sigProxy: o.sigProxy, detachKeys: o.detachKeys})
	}
	return a.runHere(ctx, c, o)
}

// container says what the flags ask for in the container's terms.
func (o *runOptions) container(a *app, command []string) (container.Options, error) {
	out := container.Options{Command: command, User: o.user, Dir: o.workdir}
	if o.setEntrypoint {
		out.Entrypoint = &o.entrypoint
	}
	var err error
	if out.Env, err = runEnv(o.envFiles, o.env, a.proxies(), os.LookupEnv); err != nil {
		return out, err
	}
	binds, _, err := parseVolumes(o.volumes)
	if err != nil {
		return out, err
	}
	tmpfs, err := parseTmpfs(o.tmpfs)
	if err != nil {
		return out, err
	}
	mounts, _, err := parseMounts(o.mounts)
	if err != nil {
		return out, err
	}
	out.Sandbox.Mounts = slices.Concat(binds, tmpfs, mounts)
	if err := checkTargets(out.Sandbox.Mounts); err != nil {
		return out, err
	}
	return out, firstError(
		func() error { return o.streams(a, &out.Sandbox) },
		func() error { return o.isolation(&out.Sandbox) },
		func() error { return o.resources(&out.Sandbox) },
	)
}

// streams connects what the command reads and writes.
func (o *runOptions) streams(a *app, s *sandbox.Spec) error {
	s.Terminal = o.tty
	if o.interactive && o.tty && !o.detach && !isTerminal(a.stdin) {
		return withCode(1, withHint(errors.New("the input device is not a TTY"), "Leave -t away where there is no terminal."))
	}
	return nil
}

// isolation says what the command shares with the host.
func (o *runOptions) isolation(s *sandbox.Spec) (err error) {
	if s.Network, _, err = parseRunNetwork(o.network); err != nil {
		return err
	}
	s.Hostname, s.Container = o.hostname, true
	for _, h := range o.addHosts {
		host, err := parseAddHost(h)
		if err != nil {
			return err
		}
		s.ExtraHosts = append(s.ExtraHosts, host)
	}
	s.DNS, s.Groups, s.DNSSearch, s.DNSOptions = o.dns, o.groups, o.dnsSearch, o.dnsOpts
	s.Domainname, s.OOMScoreAdj, s.Init = o.domainname, o.oomScoreAdj, o.init
	if o.oomScoreAdj < -1000 || o.oomScoreAdj > 1000 {
		return fmt.Errorf("--oom-score-adj %d: %w: it is from -1000 to 1000", o.oomScoreAdj, errs.ErrInvalid)
	}
	if err := parseSecurity(s, o.securityOpts); err != nil {
		return err
	}
	if s.Sysctls, err = parseSysctls(o.sysctls, s.Network); err != nil {
		return err
	}
	s.ReadonlyRoot, s.Insecure = o.readOnly, o.privileged
	s.CapAdd, s.CapDrop = splitCommas(o.capAdd), splitCommas(o.capDrop)
	return nil
}

// resources says how much of the host the command may use.
func (o *runOptions) resources(s *sandbox.Spec) error {
	l, err := o.limits.parse()
	if err != nil {
		return err
	}
	if err := checkCPUs(o.limits.cpus, o.limits.cpusetCPUs); err != nil {
		return err
	}
	s.Resources, s.ShmSize, s.CgroupParent = l.resources, l.shmSize, l.cgroupParent
	s.Resources.PidsLimit = o.pidsLimit
	for _, u := range l.ulimits {
		s.Ulimits = append(s.Ulimits, sandbox.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	return nil
}

// parseRunNetwork reads --network of a container: what is no network that is always there
// is one that a user made, "NAME" or "name=NAME,alias=A,ip=ADDRESS".
func parseRunNetwork(s string) (mode sandbox.NetworkMode, own *record.Attachment, err error) {
	switch s {
	case "", "default", "bridge":
		return sandbox.Bridge, nil, nil
	case "none":
		return sandbox.None, nil, nil
	case "host":
		return sandbox.Host, nil, nil
	}
	if strings.HasPrefix(s, "container:") {
		return 0, nil, fmt.Errorf("--network %q: %w yet: there are bridge, none, host and networks of one's own", s, errs.ErrUnsupported)
	}
	own = &record.Attachment{Network: s}
	if !strings.Contains(s, "=") {
		return sandbox.Bridge, own, nil
	}
	own.Network = ""
	for field := range strings.SplitSeq(s, ",") {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "name":
			own.Network = value
		case "alias":
			own.Aliases = append(own.Aliases, value)
		case "ip":
			own.IP = value
		default:
			return 0, nil, fmt.Errorf("--network %q: %q: %w: there are name, alias and ip", s, key, errs.ErrUnsupported)
		}
	}
	if own.Network == "" {
		return 0, nil, fmt.Errorf("--network %q: %w: the name is missing", s, errs.ErrInvalid)
	}
	if own.Network == "bridge" || own.Network == "host" || own.Network == "none" {
		if len(own.Aliases) > 0 || own.IP != "" {
			return 0, nil, fmt.Errorf("--network %q: %w: only networks of one's own have aliases and addresses", s, errs.ErrInvalid)
		}
		return parseRunNetwork(own.Network)
	}
	return sandbox.Bridge, own, nil
}
