package op

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/solver/pb"

	"github.com/mica-build/mica/build/solve"
)

// execKey is what of an exec step decides its result. Left out are what differs
// from run to run or only bounds it: proxies, addresses of extra hosts, limits,
// ids of caches, values of secrets.
type execKey struct {
	Args, Env      []string
	Cwd, User      string
	Hostname       string          `json:",omitempty"`
	Hosts          []string        `json:",omitempty"`
	Network        string          `json:",omitempty"`
	Security       string          `json:",omitempty"`
	ValidExitCodes []int32         `json:",omitempty"`
	SecretEnv      []*pb.SecretEnv `json:",omitempty"`
	Mounts         []mountKey
	Platform       string
}

type mountKey struct {
	Dest, Type string
	ReadOnly   bool          `json:",omitempty"`
	Output     int64         `json:",omitempty"`
	CacheID    string        `json:",omitempty"`
	Secret     *pb.SecretOpt `json:",omitempty"`
	SSH        *pb.SSHOpt    `json:",omitempty"`
	TmpfsSize  int64         `json:",omitempty"`
}

func (e *exec) opKey() execKey {
	m := e.op.Meta
	k := execKey{
		Args: m.Args, Env: m.Env, Cwd: m.Cwd, User: m.User, Hostname: m.Hostname,
		ValidExitCodes: m.ValidExitCodes, SecretEnv: e.op.Secretenv,
		Platform: platformName(e.n.Op),
	}
	for _, h := range m.ExtraHosts {
		k.Hosts = append(k.Hosts, h.Host)
	}
	if e.op.Network != pb.NetMode_UNSET {
		k.Network = e.op.Network.String()
	}
	if e.op.Security != pb.SecurityMode_SANDBOX {
		k.Security = e.op.Security.String()
	}
	for _, m := range e.op.Mounts {
		mk := mountKey{Dest: m.Dest, Type: m.MountType.String(), ReadOnly: m.Readonly, Output: m.Output, Secret: m.SecretOpt, SSH: m.SSHOpt}
		if m.TmpfsOpt != nil && m.Dest != "/dev/shm" {
			mk.TmpfsSize = m.TmpfsOpt.Size
		}
		k.Mounts = append(k.Mounts, mk)
	}
	return k
}

func platformName(op *pb.Op) string {
	p := op.Platform
	if p == nil {
		return ""
	}
	return strings.Join(append([]string{p.OS, p.Architecture, p.Variant, p.OSVersion}, p.OSFeatures...), "/")
}

// Keys keys the root by its key, and what is mounted only to be read by the
// content below the mount's source.
func (e *exec) Keys(ctx context.Context, in []solve.Value) (*solve.Keys, error) {
	def, err := e.preimage(ctx, in, false)
	if err != nil {
		return nil, err
	}
	k := &solve.Keys{Definition: def}
	if slices.ContainsFunc(in, func(v solve.Value) bool { return v.Local != nil }) {
		k.Stable = func(ctx context.Context) (bool, error) {
			return stable(def, func() (*solve.Preimage, error) { return e.preimage(ctx, in, false) })
		}
	}
	for i, v := range in {
		if v.Local == nil && e.readOnly(i) {
			k.Content = func() (*solve.Preimage, error) { return e.preimage(ctx, in, true) }
			break
		}
	}
	return k, nil
}

// readOnly says that nothing of input i can be in a result: it is mounted
// without output, and is neither the root nor the first content of a cache.
func (e *exec) readOnly(i int) bool {
	for _, m := range e.op.Mounts {
		if m.Input != int64(i) {
			continue
		}
		if m.MountType != pb.MountType_BIND || m.Output != int64(pb.SkipOutput) || m.Dest == "/" {
			return false
		}
	}
	return true
}

func (e *exec) preimage(ctx context.Context, in []solve.Value, content bool) (*solve.Preimage, error) {
	inputs := make([]solve.InputKey, len(in))
	for i, v := range in {
		if v.Local == nil && (!content || !e.readOnly(i)) {
			inputs[i].Key = v.Key
			if sel := e.selectors(i); len(sel) > 0 {
				inputs[i].Name = strings.Join(sel, ":")
			}
			continue
		}
		if v.Local != nil {
			inputs[i].Name = v.Local.Name
		}
		var parts []string
		for k, s := range e.selectors(i) {
			d, err := e.w.digestPath(ctx, e.n.Digest, i, k, v, s)
			if err != nil {
				return nil, err
			}
			parts = append(parts, d.String())
		}
		inputs[i].Content = strings.Join(parts, " ")
	}
	return solve.NewPreimage("exec", e.opKey(), inputs...), nil
}

// selectors lists the paths of input i that are mounted, "/" for the root's.
func (e *exec) selectors(i int) []string {
	var out []string
	for _, m := range e.op.Mounts {
		if m.Input == int64(i) && m.Dest != "/" {
			out = append(out, path.Join("/", m.Selector))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
