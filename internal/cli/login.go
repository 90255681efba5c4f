package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/registry/remote"
)

type loginOptions struct {
	user, password string
	stdin          bool
}

func newLoginCmd(a *app) *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:   "login [OPTIONS] [SERVER]",
		Short: "Remember a user and a password for a registry",
		Args:  args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLogin(cmd.Context(), a, o, registryHost(args))
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.user, "username", "u", "", "user")
	f.StringVarP(&o.password, "password", "p", "", "password or token")
	f.BoolVar(&o.stdin, "password-stdin", false, "read the password from stdin")
	return cmd
}

// registryHost reads the argument of login and logout; without one it is Docker Hub.
func registryHost(args []string) string {
	if len(args) == 0 {
		return ref.DefaultDomain
	}
	host := strings.TrimPrefix(strings.TrimPrefix(args[0], "https://"), "http://")
	host, _, _ = strings.Cut(host, "/")
	switch host {
	case "index.docker.io", "registry-1.docker.io", "":
		return ref.DefaultDomain
	}
	return host
}

func runLogin(ctx context.Context, a *app, o loginOptions, host string) error {
	if o.stdin && o.password != "" {
		return errors.New("--password and --password-stdin exclude each other")
	}
	if o.stdin && o.user == "" {
		return errors.New("--password-stdin needs --username")
	}
	if o.password != "" {
		fmt.Fprintln(a.stderr, "WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
	}
	if err := o.ask(a); err != nil {
		return err
	}
	c := remote.Credential{Username: o.user, Password: o.password}
	if err := a.registry().Ping(ctx, host, &c); err != nil {
		return fmt.Errorf("login to %s: %w", host, err)
	}
	plain, err := a.saveCredential(ctx, host, c)
	if err != nil {
		return fmt.Errorf("login to %s: %w", host, err)
	}
	if plain {
		a.warn("The credential is kept unencrypted in %s. Configure a credential helper to change that.", filepath.Join(a.configDir, "config.json"))
	}
	fmt.Fprintln(a.stdout, "Login Succeeded")
	return nil
}

// ask reads what the flags did not give: from stdin, or from a terminal.
func (o *loginOptions) ask(a *app) error {
	if o.stdin {
		raw, err := io.ReadAll(io.LimitReader(a.stdin, 1<<20))
		o.password = strings.TrimRight(string(raw), "\r\n")
		return err
	}
	if o.user != "" && o.password != "" {
		return nil
	}
	if !isTerminal(a.stdin) {
		return withHint(errors.New("login needs a user and a password, and stdin is no terminal to ask on"), "Use --username and --password-stdin.")
	}
	if o.user == "" {
		fmt.Fprint(a.stdout, "Username: ")
		line, err := bufio.NewReader(a.stdin).ReadString('\n')
		if err != nil {
			return err
		}
		o.user = strings.TrimSpace(line)
	}
	if o.password == "" {
		fmt.Fprint(a.stdout, "Password: ")
		raw, err := term.ReadPassword(int(a.stdin.(*os.File).Fd()))
		fmt.Fprintln(a.stdout)
		o.password = string(raw)
		return err
	}
	return nil
}

func newLogoutCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "logout [SERVER]",
		Short: "Forget the user and password for a registry",
		Args:  args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			host := registryHost(args)
			fmt.Fprintln(a.stdout, "Removing login credentials for "+serverAddress(host))
			return a.forgetCredential(cmd.Context(), host)
		},
	}
}
