package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/errs"
)

// The verdicts of mica doctor.
const (
	verdictOK   = "ok"   // as it should be
	verdictWarn = "warn" // mica works, but not with everything
	verdictFail = "fail" // builds or runs will fail
)

// A finding is one line of mica doctor.
type finding struct {
	Check   string `json:"check"`
	Verdict string `json:"verdict"`
	Message string `json:"message"`
	Advice  string `json:"advice,omitempty"` // what to do; "" when all is well
}

type doctorOptions struct {
	format  string
	network bool
	hosts   []string
}

// newDoctorCmd is `mica doctor`.
func newDoctorCmd(a *app) *cobra.Command {
	o := &doctorOptions{}
	cmd := &cobra.Command{
		Use:   "doctor [OPTIONS]",
		Short: "Say what this machine offers for builds, and what to do about what is missing",
		Long: `Say what this machine offers for builds and containers, and what to do about what
is missing. The exit code is 1 when something will fail.`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), a, o) },
	}
	cmd.Flags().StringVarP(&o.format, "format", "f", "text", "text or json")
	cmd.Flags().BoolVar(&o.network, "network", false, "ask the registries too: Docker Hub and those in docker's configuration")
	cmd.Flags().StringArrayVar(&o.hosts, "registry", nil, "with --network: ask this `registry` instead")
	return cmd
}

// runDoctor is `mica doctor`.
func runDoctor(ctx context.Context, a *app, o *doctorOptions) error {
	d := &doctor{app: a}
	for _, check := range []func(){
		d.kernel, d.namespaces, d.users, d.overlay, d.cgroups, d.seccomp, d.proc, d.stepNetwork, d.binfmt, d.disk, d.clock, d.dockerConfig,
	} {
		check()
	}
	if o.network || len(o.hosts) > 0 {
		d.registries(ctx, o.hosts)
	}
	if err := d.print(a.stdout, o.format); err != nil {
		return err
	}
	for _, f := range d.findings {
		if f.Verdict == verdictFail {
			return withCode(1, nil)
		}
	}
	return nil
}

// A doctor collects findings.
type doctor struct {
	app      *app
	findings []finding
}

func (d *doctor) ok(check, format string, args ...any) {
	d.findings = append(d.findings, finding{check, verdictOK, fmt.Sprintf(format, args...), ""})
}

func (d *doctor) warn(check, advice, format string, args ...any) {
	d.findings = append(d.findings, finding{check, verdictWarn, fmt.Sprintf(format, args...), advice})
}

func (d *doctor) fail(check, advice, format string, args ...any) {
	d.findings = append(d.findings, finding{check, verdictFail, fmt.Sprintf(format, args...), advice})
}

func (d *doctor) print(w io.Writer, form string) error {
	switch form {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(d.findings)
	case "text", "":
	default:
		return fmt.Errorf("--format %q: %w: it is text or json", form, errs.ErrInvalid)
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, f := range d.findings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Verdict, f.Check, f.Message)
		if f.Advice != "" {
			fmt.Fprintf(t, "\t\t→ %s\n", f.Advice)
		}
	}
	return t.Flush()
}
