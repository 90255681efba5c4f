package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/build"
	"github.com/mica-build/mica/sandbox"
)

type shellOptions struct {
	secrets, ssh, allow []string
}

func newBuildsShellCmd(a *app) *cobra.Command {
	var o shellOptions
	cmd := &cobra.Command{
		Use:   "shell [OPTIONS] [BUILD [COMMAND [ARG...]]]",
		Short: "Open a shell where a build failed",
		Long: `Open a shell in the root filesystem of a build's failed RUN step, as the step
left it, with the same environment, mounts, user, directory and network. Secrets
have to be given again. What the shell writes to the root is gone afterwards; what
it writes to a cache mount stays.

Without a BUILD it is the latest that failed so. An image without a shell is lent
the host's static busybox.`,
		Args:                  args(0, -1),
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     a.completeBuilds,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBuildsShell(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.StringArrayVar(&o.secrets, "secret", nil, "secret for the shell, `id=name[,src=file|,env=variable]`")
	f.StringArrayVar(&o.ssh, "ssh", nil, "ssh agent socket or keys for the shell, `default|id[=socket|key,key]`")
	f.StringArrayVar(&o.allow, "allow", nil, "entitlement that the step had: network.host or security.insecure")
	return cmd
}

func runBuildsShell(ctx context.Context, a *app, o shellOptions, args []string) error {
	r, err := o.request(a, args)
	if err != nil {
		return err
	}
	builder, err := a.builder()
	if err != nil {
		return err
	}
	err = builder.Shell(ctx, r)
	var exit *sandbox.ExitError
	if errors.As(err, &exit) {
		return withCode(exit.Code, exit.Err)
	}
	return err
}

func (o shellOptions) request(a *app, args []string) (*build.ShellRequest, error) {
	r := &build.ShellRequest{Build: first(args)}
	var err error
	if r.Secrets, err = parseSecrets(o.secrets, os.LookupEnv); err != nil {
		return nil, err
	}
	if r.SSH, err = parseSSH(o.ssh, os.LookupEnv); err != nil {
		return nil, err
	}
	if r.Allow, err = parseAllow(o.allow); err != nil {
		return nil, err
	}
	if len(args) > 1 {
		r.Args = args[1:]
	}
	r.Stdin, r.Stdout, r.Stderr = a.stdin, a.stdout, a.stderr
	r.Terminal = isTerminal(a.stdin) && isTerminal(a.stdout)
	r.Notice = func(s string) { fmt.Fprintln(a.stderr, s) }
	runner := a.sandbox()
	r.Run = func(ctx context.Context, s *sandbox.Spec) error { return attach(ctx, runner, s, !r.Terminal) }
	return r, nil
}
