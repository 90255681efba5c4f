package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/signal"
	"github.com/spf13/pflag"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// containerFlags are the flags of run and create about what becomes of the container, as
// typed.
type containerFlags struct {
	detach, quiet      bool
	name, restart      string
	labels, labelFiles []string
	cidFile            string
	attachTo           []string
	detachKeys         string
	publish, expose    []string
	publishAll         bool
	networkAlias       []string
	ip                 string
	volumesFrom        []string
	stopSignal         string
	stopTimeout        int
	health             healthFlags
	logDriver          string
	logOpts            []string
	setStopTimeout     func() bool
}

// healthFlags are those of --health-*.
type healthFlags struct {
	cmd                                           string
	interval, timeout, startPeriod, startInterval time.Duration
	retries                                       int
	none                                          bool
}

func (o *containerFlags) addTo(f *pflag.FlagSet) {
	f.StringVar(&o.name, "name", "", "name of the container")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print nothing about pulling")
	f.StringArrayVarP(&o.labels, "label", "l", nil, "label, `key=value`")
	f.StringArrayVar(&o.labelFiles, "label-file", nil, "`file` with labels, one a line")
	f.StringVar(&o.cidFile, "cidfile", "", "write the container's id to this `file`")
	f.StringArrayVarP(&o.attachTo, "attach", "a", nil, "attach to STDIN, STDOUT or STDERR only")
	f.StringVar(&o.restart, "restart", "no", "when to start it again: no, on-failure[:n], always or unless-stopped")
	f.StringArrayVarP(&o.publish, "publish", "p", nil, "publish a port, `[[ip:]host:]container[/udp]`, also ranges")
	f.BoolVarP(&o.publishAll, "publish-all", "P", false, "publish all exposed ports, at any port of the host")
	f.StringArrayVar(&o.expose, "expose", nil, "port, or range, that the container listens on")
	f.StringArrayVar(&o.networkAlias, "network-alias", nil, "further name of the container in its network")
	f.StringVar(&o.ip, "ip", "", "address of the container in its network")
	f.StringArrayVar(&o.volumesFrom, "volumes-from", nil, "mount the volumes of another `container[:ro]`")
	f.StringVar(&o.stopSignal, "stop-signal", "", "signal that stops the container (the image's, or SIGTERM)")
	f.IntVar(&o.stopTimeout, "stop-timeout", 10, "seconds before a container that is stopped is killed")
	o.setStopTimeout = func() bool { return f.Changed("stop-timeout") }
	f.StringVar(&o.health.cmd, "health-cmd", "", "command that checks the container's health")
	f.DurationVar(&o.health.interval, "health-interval", 0, "time between checks (30s)")
	f.DurationVar(&o.health.timeout, "health-timeout", 0, "time that a check may take (30s)")
	f.DurationVar(&o.health.startPeriod, "health-start-period", 0, "time in which failures do not count (0s)")
	f.DurationVar(&o.health.startInterval, "health-start-interval", 0, "time between checks in that time (5s)")
	f.IntVar(&o.health.retries, "health-retries", 0, "failures in a row that make it unhealthy (3)")
	f.BoolVar(&o.health.none, "no-healthcheck", false, "do not check the container's health")
	f.StringVar(&o.logDriver, "log-driver", "json-file", "json-file or none")
	f.StringArrayVar(&o.logOpts, "log-opt", nil, "max-size=`10m`, max-file=3")
}

// parseRestart reads --restart.
func parseRestart(s string) (record.Restart, error) {
	name, n, hasN := strings.Cut(s, ":")
	r := record.Restart{Name: name}
	switch name {
	case "":
		r.Name = "no"
	case "no", "always", "unless-stopped":
		if hasN {
			return r, fmt.Errorf("--restart %q: %w: only on-failure has a number", s, errs.ErrInvalid)
		}
	case "on-failure":
		if !hasN {
			return r, nil
		}
		var err error
		if r.Retry, err = strconv.Atoi(n); err != nil || r.Retry < 0 {
			return r, fmt.Errorf("--restart %q: %w: the number after on-failure is how often", s, errs.ErrInvalid)
		}
	default:
		return r, fmt.Errorf("--restart %q: %w: it is no, on-failure[:n], always or unless-stopped", s, errs.ErrInvalid)
	}
	return r, nil
}

// parseLabels reads files and then flags; the image's labels stand below them.
func (o *containerFlags) parseLabels(of map[string]string) (map[string]string, error) {
	labels := map[string]string{}
	for k, v := range of {
		labels[k] = v
	}
	var list []string
	for _, name := range o.labelFiles {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("--label-file: %w", err)
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
				list = append(list, line)
			}
		}
		f.Close()
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("--label-file %s: %w", name, err)
		}
	}
	for _, l := range append(list, o.labels...) {
		key, value, _ := strings.Cut(l, "=")
		if key == "" {
			return nil, fmt.Errorf("--label %q: %w: the key is missing", l, errs.ErrInvalid)
		}
		labels[key] = value
	}
	return labels, nil
}

// parse joins the flags and the image's healthcheck; nil is none.
func (h *healthFlags) parse(of image.Config) (*record.Health, error) {
	out := &record.Health{}
	if c := of.Config.Healthcheck; c != nil {
		*out = record.Health{
			Test: c.Test, Interval: c.Interval, Timeout: c.Timeout,
			StartPeriod: c.StartPeriod, StartInterval: c.StartInterval, Retries: c.Retries,
		}
	}
	for _, d := range []struct {
		name string
		from time.Duration
		to   *time.Duration
	}{
		{"interval", h.interval, &out.Interval},
		{"timeout", h.timeout, &out.Timeout},
		{"start-period", h.startPeriod, &out.StartPeriod},
		{"start-interval", h.startInterval, &out.StartInterval},
	} {
		if d.from < 0 {
			return nil, fmt.Errorf("--health-%s cannot be negative", d.name)
		}
		if d.from != 0 {
			*d.to = d.from
		}
	}
	switch {
	case h.retries < 0:
		return nil, errors.New("--health-retries cannot be negative")
	case h.none && (h.cmd != "" || h.interval != 0 || h.timeout != 0 || h.startPeriod != 0 || h.startInterval != 0 || h.retries != 0):
		return nil, errors.New("--no-healthcheck conflicts with --health-* options")
	case h.none:
		return nil, nil
	case h.cmd != "":
		out.Test = []string{"CMD-SHELL", h.cmd}
	}
	if h.retries > 0 {
		out.Retries = h.retries
	}
	if len(out.Test) == 0 || out.Test[0] == "NONE" {
		return nil, nil
	}
	return out, nil
}

// parseLog reads --log-driver and --log-opt.
func (o *containerFlags) parseLog() (record.Log, error) {
	l := record.Log{Driver: o.logDriver}
	if !slices.Contains([]string{"json-file", "none"}, l.Driver) {
		return l, fmt.Errorf("--log-driver %q: %w: there are json-file and none", l.Driver, errs.ErrUnsupported)
	}
	for _, opt := range o.logOpts {
		key, value, _ := strings.Cut(opt, "=")
		var err error
		switch key {
		case "max-size":
			l.MaxSize, err = parseSize("log-opt max-size", value)
		case "max-file":
			if l.MaxFile, err = strconv.Atoi(value); err == nil && l.MaxFile < 1 {
				err = errs.ErrInvalid
			}
		case "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size":
			err = errs.ErrUnsupported
		default:
			err = fmt.Errorf("unknown log opt '%s' for json-file log driver: %w", key, errs.ErrInvalid)
		}
		if err != nil {
			return l, fmt.Errorf("--log-opt %q: %w", opt, err)
		}
	}
	if l.MaxFile > 1 && l.MaxSize == 0 {
		return l, fmt.Errorf("--log-opt max-file=%d: %w: it needs max-size", l.MaxFile, errs.ErrInvalid)
	}
	return l, nil
}

// parseStop reads --stop-signal and --stop-timeout.
func (o *containerFlags) parseStop() (sig string, timeout *int, err error) {
	if o.stopSignal != "" {
		if _, err := signal.ParseSignal(o.stopSignal); err != nil {
			return "", nil, fmt.Errorf("--stop-signal: %w", err)
		}
	}
	if o.setStopTimeout() {
		timeout = &o.stopTimeout
	}
	return o.stopSignal, timeout, nil
}
