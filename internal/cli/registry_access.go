package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/registry/server/access"
	"github.com/mica-build/mica/registry/server/operate"
	"github.com/mica-build/mica/registry/server/storage"
)

// configEvery is how often the registry looks whether its config has changed.
const configEvery = 2 * time.Second

// serverOptions are what the config says, which is read again when it changes and on
// SIGHUP.
func (o *registryServeOptions) serverOptions(ctx context.Context, s *storage.Storage, log *slog.Logger) (server.Options, error) {
	if o.config == "" {
		return server.Options{Logger: log}, nil
	}
	g, err := access.Open(o.config, log)
	if err != nil {
		return server.Options{}, err
	}
	if t := g.Config().TLS; o.tlsCert == "" && !o.selfSigned {
		o.tlsCert, o.tlsKey = t.Cert, t.Key
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	context.AfterFunc(ctx, func() { signal.Stop(hangup) })
	go g.Watch(ctx, configEvery, hangup)
	if o.retain > 0 {
		go g.RetainEvery(ctx, s, o.retain)
	}
	return g.Options(), nil
}

// certificate is what to speak TLS with; nil is plain http.
func (o *registryServeOptions) certificate(a *app) (*access.Certificate, error) {
	switch {
	case (o.tlsCert == "") != (o.tlsKey == ""):
		return nil, fmt.Errorf("--tls-cert and --tls-key go together: %w", errs.ErrInvalid)
	case o.tlsCert != "" && o.selfSigned:
		return nil, fmt.Errorf("--tls-self-signed and --tls-cert exclude each other: %w", errs.ErrInvalid)
	case o.tlsCert != "":
		return access.OpenCertificate(o.tlsCert, o.tlsKey)
	case !o.selfSigned:
		return nil, nil
	}
	host, _, err := net.SplitHostPort(o.addr)
	if err != nil {
		return nil, fmt.Errorf("--addr %s: %w: %w", o.addr, errs.ErrInvalid, err)
	}
	dir := filepath.Join(o.path(a), "tls")
	cert, key, err := access.SelfSigned(dir, host)
	if err != nil {
		return nil, fmt.Errorf("make a certificate in %s: %w", dir, err)
	}
	fmt.Fprintf(a.stdout, "certificate: %s (for docker: /etc/docker/certs.d/HOST:PORT/ca.crt)\n", cert)
	return access.OpenCertificate(cert, key)
}

// watched puts health, metrics and the access log before the registry.
func (o *registryServeOptions) watched(ctx context.Context, a *app, s *storage.Storage, h http.Handler, actor func(*http.Request) string) (http.Handler, error) {
	ready := func() error {
		_, err := s.Index.Repositories(ctx, storage.Page{N: 1})
		return err
	}
	if o.metrics == "" && !o.accessLog {
		return operate.Health(h, ready), nil
	}
	m := &operate.Metrics{}
	var log *slog.Logger
	if o.accessLog {
		log = slog.New(slog.NewJSONHandler(a.stderr, nil))
	}
	if o.metrics != "" {
		l, err := net.Listen("tcp", o.metrics)
		if err != nil {
			return nil, fmt.Errorf("serve metrics: %w", err)
		}
		mux := http.NewServeMux()
		mux.Handle("/metrics", m.Handler())
		srv := &http.Server{Handler: operate.Health(mux, ready), ReadHeaderTimeout: 10 * time.Second}
		context.AfterFunc(ctx, func() { _ = srv.Close() })
		go func() { _ = srv.Serve(l) }()
		fmt.Fprintf(a.stdout, "metrics on http://%s/metrics\n", l.Addr())
	}
	return operate.Health(operate.Watch(h, m, log, actor), ready), nil
}

func newRegistryCheckConfigCmd(a *app) *cobra.Command {
	var user, repository string
	cmd := &cobra.Command{
		Use:   "check-config [OPTIONS] FILE",
		Short: "Check a registry's config, and say who may do what",
		Args:  args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			g, err := access.Open(args[0], slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			if repository != "" {
				return explainAccess(a, g.Config(), user, repository)
			}
			return describeConfig(a, args[0], g.Config())
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "explain what this user may do; \"\" is somebody who does not say who they are")
	cmd.Flags().StringVar(&repository, "repository", "", "explain what may be done with this repository")
	return cmd
}

func explainAccess(a *app, c *access.Config, user, repository string) error {
	if !server.ValidName(repository) {
		return fmt.Errorf("repository %q: %w", repository, errs.ErrInvalid)
	}
	who := user
	if who == "" {
		who = "anonymous"
	}
	for _, action := range []string{"pull", "push", "delete"} {
		ok, why := c.Decide(user, repository, action)
		if ok && action != "pull" && c.ReadOnly {
			ok, why = false, "the registry is read-only"
		}
		verdict := "no"
		if ok {
			verdict = "yes"
		}
		fmt.Fprintf(a.stdout, "%s may %s %s: %s (%s)\n", who, action, repository, verdict, why)
	}
	return nil
}

func describeConfig(a *app, file string, c *access.Config) error {
	users := access.Users{}
	if c.Htpasswd != "" {
		var err error
		if users, err = access.ReadUsers(c.Htpasswd); err != nil {
			return err
		}
	}
	for i, r := range c.Rules {
		for _, u := range r.Users {
			if _, ok := users[u]; !ok && u != "*" {
				a.warn("[[rule]] %d names the user %s, who is not in %s", i+1, u, c.Htpasswd)
			}
		}
	}
	fmt.Fprintf(a.stdout, "%s is fine: %d users, %d rules, %d quotas\n", file, len(users), len(c.Rules), len(c.Quotas))
	return nil
}

func newRegistryRetentionCmd(a *app) *cobra.Command {
	var dir registryDir
	var config string
	var dry bool
	cmd := &cobra.Command{
		Use:   "retention [OPTIONS]",
		Short: "Delete the tags that a config's retention rules do not keep",
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config == "" {
				return fmt.Errorf("--config: %w: the rules are in a registry's config", errs.ErrInvalid)
			}
			g, err := access.Open(config, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			s, err := dir.open(a)
			if err != nil {
				return err
			}
			gone, err := g.Config().Retain(cmd.Context(), s, time.Now(), dry)
			for _, t := range gone {
				fmt.Fprintf(a.stdout, "%s:%s %s\n", t.Repository, t.Name, t.Digest)
			}
			return errors.Join(err, s.Close(context.WithoutCancel(cmd.Context())))
		},
	}
	dir.flag(cmd)
	cmd.Flags().StringVar(&config, "config", "", "the registry's config")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "list the tags, and delete none")
	return cmd
}

func newRegistryUsersCmd(a *app) *cobra.Command {
	return group("users", "Manage the users of a registry",
		newRegistryUsersSetCmd(a, "add", "Add a user, whose password is asked for"),
		newRegistryUsersSetCmd(a, "passwd", "Change a user's password"),
		newRegistryUsersRmCmd(a), newRegistryUsersLsCmd(a))
}

// usersFlag names the htpasswd file.
func usersFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "file", "users.htpasswd", "the htpasswd file")
}

func newRegistryUsersSetCmd(a *app, verb, short string) *cobra.Command {
	var file string
	var o loginOptions
	cmd := &cobra.Command{
		Use: verb + " [OPTIONS] USER", Short: short, Args: args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			users, err := access.ReadUsers(file)
			if errors.Is(err, errs.ErrNotFound) && verb == "add" {
				users, err = access.Users{}, nil
			}
			if err != nil {
				return err
			}
			_, there := users[args[0]]
			if there && verb == "add" {
				return fmt.Errorf("user %s: %w: it is in %s already (see registry users passwd)", args[0], errs.ErrConflict, file)
			}
			if !there && verb == "passwd" {
				return fmt.Errorf("user %s: %w in %s", args[0], errs.ErrNotFound, file)
			}
			o.user = args[0]
			if err := o.ask(a); err != nil {
				return err
			}
			if err := users.Set(o.user, o.password); err != nil {
				return err
			}
			return users.Write(file)
		},
	}
	usersFlag(cmd, &file)
	cmd.Flags().BoolVar(&o.stdin, "password-stdin", false, "read the password from stdin")
	return cmd
}

func newRegistryUsersRmCmd(*app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "rm [OPTIONS] USER", Short: "Remove a user", Args: args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			users, err := access.ReadUsers(file)
			if err != nil {
				return err
			}
			if _, ok := users[args[0]]; !ok {
				return fmt.Errorf("user %s: %w in %s", args[0], errs.ErrNotFound, file)
			}
			delete(users, args[0])
			return users.Write(file)
		},
	}
	usersFlag(cmd, &file)
	return cmd
}

func newRegistryUsersLsCmd(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "ls [OPTIONS]", Short: "List the users", Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			users, err := access.ReadUsers(file)
			if err != nil {
				return err
			}
			for _, u := range sortedKeys(users) {
				fmt.Fprintln(a.stdout, u)
			}
			return nil
		},
	}
	usersFlag(cmd, &file)
	return cmd
}
