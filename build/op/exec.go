package op

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/sandbox"
)

// exec runs one process on a stack of layers.
type exec struct {
	w  *World
	n  *solve.Node
	op *pb.ExecOp
}

func newExec(w *World, n *solve.Node, op *pb.ExecOp) (*exec, error) {
	if op.Meta == nil || len(op.Meta.Args) == 0 {
		return nil, fmt.Errorf("exec step without a command: %w", errs.ErrInvalid)
	}
	roots := 0
	for _, m := range op.Mounts {
		if m.Dest == "/" && m.MountType == pb.MountType_BIND {
			roots++
		}
		if m.Input < -1 || int(m.Input) >= len(n.Inputs) {
			return nil, fmt.Errorf("exec step: mount %s: input %d: %w", m.Dest, m.Input, errs.ErrInvalid)
		}
	}
	if roots != 1 {
		return nil, fmt.Errorf("exec step with %d roots: %w", roots, errs.ErrInvalid)
	}
	if len(op.CdiDevices) > 0 {
		return nil, fmt.Errorf("RUN --device=%s: %w: mica gives no devices to build steps", op.CdiDevices[0].Name, errs.ErrUnsupported)
	}
	e := &exec{w: w, n: n, op: op}
	// Before the cache is asked: what another build was allowed is not for this one.
	return e, e.allowed()
}

// An ExitError says that a build step's command ended with a code that is not
// among the valid ones.
type ExitError struct {
	Args []string
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	s := fmt.Sprintf("command %q ended with exit code %d", strings.Join(e.Args, " "), e.Code)
	var x *sandbox.ExitError
	switch {
	case !errors.As(e.Err, &x):
	case x.OOMKilled:
		s += " (out of memory: raise --memory)"
	case x.Err != nil:
		s += ": " + x.Err.Error()
	}
	return s
}

func (e *ExitError) Unwrap() error { return e.Err }

// Run mounts what the step sees, runs it, and publishes what it wrote.
func (e *exec) Run(ctx context.Context, in []solve.Value) (_ []solve.Value, err error) {
	m := mounter{e: e, in: in}
	defer func() {
		if cerr := m.close(); err == nil {
			err = cerr
		}
	}()
	spec, err := m.prepare(ctx)
	if err != nil {
		return nil, err
	}
	e.fillMeta(spec)
	if err := e.secretEnv(ctx, spec); err != nil {
		return nil, err
	}
	spec.Stdout = solve.Writer{Progress: e.w.Progress, Vertex: e.n.Digest, Stream: 1}
	spec.Stderr = solve.Writer{Progress: e.w.Progress, Vertex: e.n.Digest, Stream: 2}
	if err := e.run(ctx, spec); err != nil {
		m.keep(ctx, err)
		return nil, err
	}
	vals, err := m.outputs(ctx)
	if err == nil {
		e.w.identify(ctx, e.n, vals)
	}
	return vals, err
}

func (e *exec) run(ctx context.Context, spec *sandbox.Spec) error {
	var cpu time.Duration
	spec.CPUTime = &cpu
	err := e.check(ctx, e.w.Runner.Run(ctx, spec))
	if e.w.OnCPU != nil {
		e.w.OnCPU(e.n.Digest, cpu)
	}
	return err
}

// allowed checks entitlements.
func (e *exec) allowed() error {
	if e.op.Network == pb.NetMode_HOST && !e.w.AllowHost {
		return errors.New("the step asks for the host's network: allow it with --allow network.host")
	}
	if e.op.Security == pb.SecurityMode_INSECURE && !e.w.AllowInsecure {
		return errors.New("the step asks for --security=insecure: allow it with --allow security.insecure")
	}
	return nil
}

func (e *exec) check(ctx context.Context, err error) error {
	var x *sandbox.ExitError
	code := 0
	if errors.As(err, &x) {
		code = x.Code
	} else if err != nil {
		return err
	}
	if cerr := ctx.Err(); cerr != nil {
		return context.Cause(ctx)
	}
	if x != nil && x.Err != nil && strings.HasSuffix(x.Err.Error(), unix.ENOEXEC.Error()) { // words are all that leaves the sandbox
		if perr := e.foreign(); perr != nil {
			return perr
		}
	}
	if v := e.op.Meta.ValidExitCodes; len(v) > 0 && slices.Contains(v, int32(code)) || len(v) == 0 && code == 0 {
		return nil
	}
	return &ExitError{Args: e.op.Meta.Args, Code: code, Err: err}
}

// foreign says why programs of the step's platform do not run here; nil if they
// should. It is asked only after a program could not be executed: what is in an
// image need not be made for the platform that the image claims.
func (e *exec) foreign() error {
	p := platformOf(e.n.Op)
	if p == nil || e.w.CheckPlatform == nil {
		return nil
	}
	return e.w.CheckPlatform(image.Platform(*p))
}

// HostGateway is the address that stands for "host-gateway" in a build graph,
// which has room for addresses only. It is in the prefix that no host has
// (RFC 6666).
const HostGateway = "100::6d:6963:61"

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// fillMeta sets all that does not need a mount.
func (e *exec) fillMeta(s *sandbox.Spec) {
	m := e.op.Meta
	s.Args, s.Dir, s.User, s.Hostname, s.CgroupParent = m.Args, m.Cwd, m.User, m.Hostname, m.CgroupParent
	s.Env = append(slices.Clone(m.Env), proxyEnv(m.ProxyEnv)...)
	if !slices.ContainsFunc(s.Env, func(v string) bool { return strings.HasPrefix(v, "PATH=") }) {
		s.Env = append(s.Env, "PATH="+defaultPath)
	}
	switch e.op.Network {
	case pb.NetMode_HOST:
		s.Network = sandbox.Host
	case pb.NetMode_NONE:
		s.Network = sandbox.None
	}
	s.Insecure = e.op.Security == pb.SecurityMode_INSECURE
	for _, h := range m.ExtraHosts {
		if h.IP == HostGateway {
			h = &pb.HostIP{Host: h.Host, IP: "host-gateway"}
		}
		s.ExtraHosts = append(s.ExtraHosts, sandbox.HostIP{Host: h.Host, IP: h.IP})
	}
	for _, u := range m.Ulimit {
		s.Ulimits = append(s.Ulimits, sandbox.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	if r := e.n.Meta.GetLinuxResources(); r != nil {
		s.Resources = sandbox.Resources{
			Memory: r.Memory, MemorySwap: r.MemorySwap, CPUShares: r.CpuShares, CPUPeriod: r.CpuPeriod,
			CPUQuota: r.CpuQuota, CpusetCPUs: r.CpusetCpus, CpusetMems: r.CpusetMems,
		}
	}
}

// proxyEnv gives both spellings of every proxy variable that is set.
func proxyEnv(p *pb.ProxyEnv) []string {
	if p == nil {
		return nil
	}
	var env []string
	for _, v := range []struct{ name, value string }{
		{"HTTP_PROXY", p.HttpProxy},
		{"HTTPS_PROXY", p.HttpsProxy},
		{"FTP_PROXY", p.FtpProxy},
		{"NO_PROXY", p.NoProxy},
		{"ALL_PROXY", p.AllProxy},
	} {
		if v.value != "" {
			env = append(env, v.name+"="+v.value, strings.ToLower(v.name)+"="+v.value)
		}
	}
	return env
}

func (e *exec) secretEnv(ctx context.Context, s *sandbox.Spec) error {
	for _, v := range e.op.Secretenv {
		data, err := e.w.secret(ctx, v.ID, v.Optional)
		if err != nil {
			return err
		}
		s.Env = append(s.Env, v.Name+"="+string(data)) // empty when it is optional and not there
	}
	return nil
}

// secret reads one secret; nil when it is optional and not there.
func (w *World) secret(ctx context.Context, id string, optional bool) ([]byte, error) {
	data, err := w.Secrets.Secret(ctx, id)
	if errors.Is(err, errs.ErrNotFound) {
		if optional {
			return nil, nil
		}
		return nil, fmt.Errorf("secret %q: %w: give it with --secret id=%s,src=FILE or --secret id=%s,env=NAME", id, errs.ErrNotFound, id, id)
	}
	if err != nil {
		return nil, fmt.Errorf("secret %q: %w", id, err)
	}
	if data == nil {
		data = []byte{}
	}
	return data, nil
}

func cleanAbs(p string) string { return path.Join("/", p) }
