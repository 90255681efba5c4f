package op

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/safepath"
	"github.com/mica-build/mica/sandbox"
)

// A Shell is a command to be run where a step failed.
type Shell struct {
	// Args is the command; none is the step's own shell, /bin/sh, or one that is
	// lent by the host where the image has neither.
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Terminal       bool
	// Run runs the process; nil is the World's Runner.
	Run func(context.Context, *sandbox.Spec) error
	// Notice hears what is not as it was in the step; nil is silence.
	Notice func(string)
}

// lentShell is where a shell of the host is shown to an image that has none.
const lentShell = "/.mica/sh"

// hostShells are where a busybox of the host may be that needs no libraries.
var hostShells = []string{"/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static", "/usr/bin/busybox.static"}

// Enter runs a shell in the root filesystem of a failed step as the step left
// it, with the same environment, mounts, user, directory, network and limits.
// What the shell writes there is thrown away at its end. An exit code other
// than 0 is a *sandbox.ExitError.
func (w *World) Enter(ctx context.Context, k *Kept, sh Shell) (err error) {
	e, in, err := w.revive(ctx, k)
	if err != nil {
		return err
	}
	if err := e.allowed(); err != nil {
		return err
	}
	m := mounter{e: e, in: in}
	defer func() {
		if cerr := m.close(); err == nil {
			err = cerr
		}
	}()
	spec, err := m.prepare(ctx)
	if err != nil {
		return err
	}
	e.fillMeta(spec)
	if err := e.secretEnv(ctx, spec); err != nil {
		return err
	}
	if err := e.shell(spec, sh.Args); err != nil {
		return err
	}
	e.missing(ctx, sh.Notice)
	spec.Stdin, spec.Stdout, spec.Stderr, spec.Terminal = sh.Stdin, sh.Stdout, sh.Stderr, sh.Terminal
	if sh.Terminal && !slices.ContainsFunc(spec.Env, func(v string) bool { return strings.HasPrefix(v, "TERM=") }) {
		spec.Env = append(spec.Env, "TERM="+terminal())
	}
	if sh.Run == nil {
		return w.Runner.Run(ctx, spec)
	}
	return sh.Run(ctx, spec)
}

func terminal() string {
	if t := os.Getenv("TERM"); t != "" {
		return t
	}
	return "xterm"
}

// shell fills in the command.
func (e *exec) shell(s *sandbox.Spec, args []string) error {
	if len(args) > 0 {
		s.Args = args
		return nil
	}
	candidates := []string{"/bin/sh"}
	if a := e.op.Meta.Args; len(a) > 1 && strings.HasPrefix(a[0], "/") && strings.HasPrefix(a[1], "-") {
		candidates = slices.Insert(candidates, 0, a[0])
	}
	for _, c := range candidates {
		if st, err := safepath.Stat(s.Root, c); err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o111 != 0 {
			s.Args = []string{c}
			return nil
		}
	}
	lent, err := staticShell(hostShells)
	if err != nil {
		return err
	}
	s.Args = []string{lentShell}
	s.Mounts = append(s.Mounts, sandbox.Mount{Source: lent, Target: lentShell, ReadOnly: true})
	return nil
}

// staticShell finds a busybox that runs in any root.
func staticShell(paths []string) (string, error) {
	for _, p := range paths {
		f, err := elf.Open(p)
		if err != nil {
			continue
		}
		dynamic := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
		f.Close()
		if !dynamic {
			return p, nil
		}
	}
	return "", fmt.Errorf("the image has no shell, and this machine has no static busybox to lend it (looked for %s): %w: install busybox-static, or name a command of the image",
		strings.Join(paths, ", "), errs.ErrNotFound)
}

// missing tells of secrets and agents that were not given this time.
func (e *exec) missing(ctx context.Context, notice func(string)) {
	if notice == nil {
		return
	}
	tell := func(id string) {
		if _, err := e.w.Secrets.Secret(ctx, id); errors.Is(err, errs.ErrNotFound) {
			notice(fmt.Sprintf("secret %s is not here: give it again with --secret id=%s,…", id, id))
		}
	}
	for _, m := range e.op.Mounts {
		if m.SecretOpt != nil {
			tell(m.SecretOpt.ID)
		}
		if m.SSHOpt != nil {
			if _, err := e.w.SSH.Agent(ctx, m.SSHOpt.ID); errors.Is(err, errs.ErrNotFound) {
				notice("the ssh agent is not here: give it again with --ssh " + m.SSHOpt.ID)
			}
		}
	}
	for _, s := range e.op.Secretenv {
		tell(s.ID)
	}
}
