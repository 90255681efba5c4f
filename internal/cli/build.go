package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/build"
	"github.com/mica-build/mica/internal/ui/progress"
	"github.com/mica-build/mica/sandbox"
)

// buildOptions are the flags of `mica build` as they were typed.
type buildOptions struct {
	// what is built
	dockerfile    string
	target        string
	tags          []string
	platforms     []string
	buildArgs     []string
	labels        []string
	annotations   []string
	buildContexts []string
	secrets       []string
	ssh           []string
	allow         []string

	// how
	noCache       bool
	noCacheFilter []string
	pull          bool
	network       string
	addHosts      []string
	limits        limitFlags
	steps         stepFlags
	reproducible  bool

	// what becomes of it
	outputs      []string
	load, push   bool
	iidFile      string
	metadataFile string
	progress     string
	quiet        bool
	call         string
	check        bool
	dryRun       bool
	requireCache bool

	later   laterFlags
	ignored ignoredFlags
}

// newBuildCmd is `mica build`.
func newBuildCmd(a *app) *cobra.Command {
	o := &buildOptions{}
	cmd := &cobra.Command{
		Use:   "build [OPTIONS] PATH | URL | -",
		Short: "Build an image from a Dockerfile",
		Long: `Build an image from a Dockerfile and the files of a build context.

The context is a directory, a git repository, an archive at a URL, or - for an
archive or a Dockerfile on standard input. Without --output the image goes into
the local store.`,
		Args:                  args(1, 1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBuild(cmd.Context(), a, o, args[0])
		},
	}
	o.addTo(cmd.Flags())
	return cmd
}

// runBuild is `mica build CONTEXT`.
func runBuild(ctx context.Context, a *app, o *buildOptions, contextArg string) error {
	plan, err := o.plan(a, contextArg)
	if err != nil {
		return err
	}
	if a.steps, err = o.steps.read(); err != nil {
		return err
	}
	display, err := progress.New(a.stderr, plan.mode)
	if err != nil {
		return err
	}
	builder, err := a.builder()
	if err != nil {
		return err
	}
	if err := plan.forget(); err != nil {
		return err
	}
	plan.request.Progress = display.Update
	res, err := builder.Build(ctx, plan.request)
	display.Close()
	if err != nil {
		return buildFailure(ctx, a.stderr, err, plan.mode)
	}
	if plan.request.Call != "" {
		return plan.answer(a.stdout, res)
	}
	if res.Plan != nil {
		return printPlan(a.stdout, res.Plan)
	}
	display.Warnings(res.Warnings, a.debug)
	return plan.record(a.stdout, res)
}

// A buildPlan is a request and what the command itself does with the result.
type buildPlan struct {
	request      *build.Request
	mode         progress.Mode
	iidFile      string
	metadataFile string
	ignoreStatus bool // --call ...,ignorestatus=true
}

// plan reads the flags and everything of the environment that they depend on.
func (o *buildOptions) plan(a *app, contextArg string) (*buildPlan, error) {
	if err := o.later.check(); err != nil {
		return nil, err
	}
	if err := o.ignored.check(); err != nil {
		return nil, err
	}
	p := &buildPlan{iidFile: o.iidFile, metadataFile: o.metadataFile}
	var err error
	if p.mode, err = o.progressMode(); err != nil {
		return nil, err
	}
	if p.request, err = o.request(a, contextArg, os.LookupEnv); err != nil {
		return nil, err
	}
	call, err := parseCall(o.call, o.check)
	if err != nil {
		return nil, err
	}
	if o.dryRun { // it makes nothing, so what is there stays
		p.iidFile, p.metadataFile = "", ""
	}
	p.request.DryRun, p.request.RequireCached = o.dryRun, o.requireCache
	p.request.Call, p.request.CallOpts, p.ignoreStatus = call.name, call.opts, call.ignoreStatus
	if call.name != "" { // a question makes nothing
		p.request.Outputs = nil
		return p, nil
	}
	p.request.Outputs, err = o.parseOutputs(isTerminal(a.stdout))
	return p, err
}

// progressMode is what --progress, -q and BUILDKIT_PROGRESS come to.
func (o *buildOptions) progressMode() (progress.Mode, error) {
	name := o.progress
	if name == "" {
		name = os.Getenv("BUILDKIT_PROGRESS")
	}
	mode, err := progress.ParseMode(name)
	if err != nil || !o.quiet {
		return mode, err
	}
	if o.progress != "" && mode != progress.Auto && mode != progress.Quiet {
		return "", fmt.Errorf("--quiet and --progress=%s exclude each other", mode)
	}
	return progress.Quiet, nil
}

// request is the build the flags ask for, without its outputs.
func (o *buildOptions) request(a *app, contextArg string, env lookupFunc) (*build.Request, error) {
	if contextArg == "-" && o.dockerfile == "-" {
		return nil, errors.New("the context and the Dockerfile cannot both come from standard input")
	}
	r := &build.Request{
		Context:      contextArg,
		Dockerfile:   o.dockerfile,
		Stdin:        a.stdin,
		Stdout:       a.stdout,
		Target:       o.target,
		Tags:         o.tags,
		NoCache:      o.noCache,
		Pull:         o.pull,
		Reproducible: o.reproducible,
	}
	return r, firstError(
		func() error { return checkTags(o.tags) },
		func() error { return o.readWhat(r, a, env) },
		func() error { return o.readHow(r) },
	)
}

// readWhat fills in what is built: arguments, platforms, contexts, secrets.
func (o *buildOptions) readWhat(r *build.Request, a *app, env lookupFunc) (err error) {
	if r.BuildArgs, err = parseBuildArgs(o.buildArgs, env); err != nil {
		return err
	}
	r.SourceDateEpoch = r.BuildArgs[argSourceDateEpoch]
	addProxies(r.BuildArgs, a.proxies())
	if r.Platforms, err = parseBuildPlatforms(o.platforms, env); err != nil {
		return err
	}
	if r.Labels, err = parseLabels(o.labels); err != nil {
		return err
	}
	if r.Annotations, err = parseAnnotations(o.annotations); err != nil {
		return err
	}
	if r.BuildContexts, err = parseBuildContexts(o.buildContexts); err != nil {
		return err
	}
	if r.Secrets, err = parseSecrets(o.secrets, env); err != nil {
		return err
	}
	r.SSH, err = parseSSH(o.ssh, env)
	return err
}

// readHow fills in how steps run.
func (o *buildOptions) readHow(r *build.Request) (err error) {
	if r.Allow, err = parseAllow(o.allow); err != nil {
		return err
	}
	if r.Network, err = parseBuildNetwork(o.network); err != nil {
		return err
	}
	if r.Network == "host" { // who asks for it for all steps allows it, as with docker
		r.Allow = append(r.Allow, entitlementHost)
	}
	r.NoCacheFilter = splitCommas(o.noCacheFilter)
	for _, s := range o.addHosts {
		h, err := parseAddHost(s)
		if err != nil {
			return err
		}
		r.AddHosts = append(r.AddHosts, h.Host+"="+h.IP)
	}
	l, err := o.limits.parse()
	if err != nil {
		return err
	}
	r.ShmSize, r.CgroupParent, r.Resources = l.shmSize, l.cgroupParent, buildResources(l.resources)
	for _, u := range l.ulimits {
		r.Ulimits = append(r.Ulimits, u.String())
	}
	return nil
}

// answer prints what a --call found out.
func (p *buildPlan) answer(w io.Writer, res *build.Result) error {
	if _, err := w.Write(res.Call); err != nil {
		return err
	}
	if res.CallExitCode != 0 && !p.ignoreStatus {
		return withCode(res.CallExitCode, nil)
	}
	return nil
}

// buildResources says the same in the words of a build request.
func buildResources(r sandbox.Resources) build.Resources {
	return build.Resources{
		Memory: r.Memory, MemorySwap: r.MemorySwap,
		CPUShares: r.CPUShares, CPUPeriod: r.CPUPeriod, CPUQuota: r.CPUQuota,
		CpusetCPUs: r.CpusetCPUs, CpusetMems: r.CpusetMems,
	}
}
