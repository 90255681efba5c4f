package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/registry/server/storage"
	"github.com/mica-build/mica/registry/server/storage/files"
)

type registryServeOptions struct {
	registryDir
	addr    string
	gcEvery time.Duration
	gc      storage.GCOptions

	config     string
	tlsCert    string
	tlsKey     string
	selfSigned bool
	metrics    string
	accessLog  bool
	retain     time.Duration
}

func newRegistryServeCmd(a *app) *cobra.Command {
	var o registryServeOptions
	cmd := &cobra.Command{
		Use:   "serve [OPTIONS]",
		Short: "Serve a registry",
		Long: `Serve an OCI registry from a directory until it is interrupted. Requests that
are under way then may end first.`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRegistryServe(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.addr, "addr", "127.0.0.1:5000", "address to listen on")
	o.flag(cmd)
	f.StringVar(&o.config, "config", "", "file with users, rights, quotas and more; see docs/registry.md")
	f.StringVar(&o.tlsCert, "tls-cert", "", "file of a certificate, to speak TLS")
	f.StringVar(&o.tlsKey, "tls-key", "", "file of its key")
	f.BoolVar(&o.selfSigned, "tls-self-signed", false, "speak TLS with a certificate that vouches for itself")
	f.StringVar(&o.metrics, "metrics-addr", "", "address to serve /metrics on, for Prometheus")
	f.BoolVar(&o.accessLog, "access-log", false, "log each request, in JSON, on standard error")
	f.DurationVar(&o.retain, "retention-interval", time.Hour, "how often to delete tags as the config's retention rules say")
	f.DurationVar(&o.gcEvery, "gc-interval", 24*time.Hour, "how often to remove what nothing needs; 0 never")
	f.DurationVar(&o.gc.Grace, "gc-grace", 24*time.Hour, "how long what nothing needs stays")
	f.BoolVar(&o.gc.Untagged, "gc-untagged", false, "also remove manifests that no tag leads to")
	return cmd
}

// drainTime is how long requests under way may take once the server is to stop.
const drainTime = time.Minute

func runRegistryServe(ctx context.Context, a *app, o registryServeOptions) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // little is allocated, and a thousand clients are to fit into 64 MiB
	}
	s, err := files.Open(o.path(a), files.Options{Durable: a.durable})
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.stderr, nil))
	so, err := o.serverOptions(ctx, s, log)
	if err != nil {
		return err
	}
	certificate, err := o.certificate(a)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		return fmt.Errorf("serve registry: %w", err)
	}
	if o.gcEvery > 0 {
		go storage.CollectEvery(ctx, s, o.gcEvery, o.gc, log)
	}
	h, err := o.watched(ctx, a, s, server.New(s, so), so.Actor)
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	scheme := "http"
	if certificate != nil {
		scheme, l = "https", tls.NewListener(l, certificate.Config())
	}
	fmt.Fprintf(a.stdout, "registry on %s://%s\n", scheme, l.Addr())
	drained := make(chan struct{})
	undo := context.AfterFunc(ctx, func() {
		defer close(drained)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		_ = srv.Shutdown(drain)
	})
	defer undo()
	err = srv.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		<-drained
		err = nil
	}
	return errors.Join(err, s.Close(context.WithoutCancel(ctx)))
}
