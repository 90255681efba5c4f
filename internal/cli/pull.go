package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/ui/format"
	"github.com/mica-build/mica/ref"
)

type pullOptions struct {
	platform string
	quiet    bool
	all      bool
	policy   string
	progress string
}

func newPullCmd(a *app) *cobra.Command {
	var o pullOptions
	cmd := &cobra.Command{
		Use:   "pull [OPTIONS] NAME[:TAG|@DIGEST]",
		Short: "Copy an image from a registry",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.all {
				return runPullAll(cmd.Context(), a, o, args[0])
			}
			return runPull(cmd.Context(), a, o, args[0])
		},
	}
	cmd.Flags().BoolVarP(&o.all, "all-tags", "a", false, "pull all tags of the repository")
	cmd.Flags().StringVar(&o.platform, "platform", "", "platform to pull of an image for several")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "only print the image's name")
	cmd.Flags().StringVar(&o.policy, "policy", "always", `when to ask the registry: "always", "missing" or "never"`)
	cmd.Flags().StringVar(&o.progress, "progress", "auto", `"auto", "tty", "plain" or "json" (events on standard error)`)
	return cmd
}

func runPull(ctx context.Context, a *app, o pullOptions, name string) error {
	ask, err := pullWanted(ctx, a, o, name)
	if err != nil || !ask {
		return err
	}
	p, err := pullOne(ctx, a, o, name)
	if err != nil {
		return err
	}
	if !o.quiet {
		fmt.Fprintln(a.stdout, "Status: "+pullStatus(p.New)+p.Ref.Familiar())
	}
	fmt.Fprintln(a.stdout, p.Ref.String())
	return nil
}

// pullWanted says whether --policy lets the registry be asked. An image that is here
// already, and good enough, is told of as pull does.
func pullWanted(ctx context.Context, a *app, o pullOptions, name string) (bool, error) {
	switch o.policy {
	case "always":
		return true, nil
	case "missing", "never":
	default:
		return false, fmt.Errorf("--policy %q: %w: it is always, missing or never", o.policy, errs.ErrInvalid)
	}
	r, err := ref.Parse(name)
	if err != nil {
		return false, err
	}
	e, err := a.engine()
	if err != nil {
		return false, err
	}
	var platform *image.Platform
	if o.platform != "" {
		p, err := parsePlatforms([]string{o.platform})
		if err != nil {
			return false, err
		}
		platform = &p[0]
	}
	_, err = e.ImageFor(ctx, r.String(), platform)
	switch {
	case err == nil:
		if !o.quiet {
			fmt.Fprintln(a.stdout, "Status: "+pullStatus(false)+r.Familiar())
		}
		fmt.Fprintln(a.stdout, r.String())
		return false, nil
	case o.policy == "never":
		return false, withHint(err, "With --policy never nothing is pulled. Pull it, or load it from an archive.")
	}
	return true, nil
}

// runPullAll pulls every tag that the registry has of a repository.
func runPullAll(ctx context.Context, a *app, o pullOptions, name string) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	tags, err := e.RemoteTags(ctx, name)
	if err != nil {
		return err
	}
	changed := false
	for _, t := range tags {
		p, err := pullOne(ctx, a, o, t.String())
		if err != nil {
			return err
		}
		changed = changed || p.New
	}
	if !o.quiet {
		fmt.Fprintln(a.stdout, "Status: "+pullStatus(changed)+tags[0].FamiliarName())
	}
	fmt.Fprintln(a.stdout, tags[0].Name())
	return nil
}

func pullStatus(changed bool) string {
	if changed {
		return "Downloaded newer image for "
	}
	return "Image is up to date for "
}

// pullOne pulls one image and prints what happens to it.
func pullOne(ctx context.Context, a *app, o pullOptions, name string) (engine.Pulled, error) {
	var eo engine.PullOptions
	if o.platform != "" {
		p, err := parsePlatforms([]string{o.platform})
		if err != nil {
			return engine.Pulled{}, err
		}
		eo.Platform = &p[0]
	}
	e, err := a.engine()
	if err != nil {
		return engine.Pulled{}, err
	}
	lines := &layerLines{w: a.stdout}
	if o.quiet {
		lines.w = io.Discard
	}
	if r, err := ref.ParseName(name); err == nil {
		if r.Tag == "" && r.Digest == "" {
			fmt.Fprintln(lines.w, "Using default tag: latest")
		}
		lines.title = pullTitle(r)
	}
	display, err := a.bars(o.progress, o.quiet)
	if err != nil {
		return engine.Pulled{}, err
	}
	eo.Progress = lines.pull
	if display != nil {
		fmt.Fprintln(lines.w, lines.title)
		event := showEvent(display)
		eo.Progress = func(ev engine.PullEvent) {
			if !ev.Unpacked {
				event(ev.Event)
			}
		}
	}
	p, err := e.Pull(ctx, name, eo)
	if display != nil {
		display.Close()
	}
	if err != nil {
		return p, err
	}
	fmt.Fprintln(lines.w, "Digest: "+p.Target.Digest.String())
	return p, nil
}

func pullTitle(r ref.Ref) string {
	id := r.Identifier()
	if id == "" {
		id = ref.DefaultTag
	}
	path := r.Path
	if r.Domain != ref.DefaultDomain {
		path = r.Name()
	}
	return id + ": Pulling from " + path
}

// layerLines prints what happens to the layers of an image, a line for each step.
type layerLines struct {
	mu    sync.Mutex
	w     io.Writer
	title string // printed before the first line
	there map[digest.Digest]bool
}

func (l *layerLines) print(d image.Descriptor, state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.title != "" {
		fmt.Fprintln(l.w, l.title)
		l.title = ""
	}
	if state == "Already exists" {
		if l.there == nil {
			l.there = map[digest.Digest]bool{}
		}
		l.there[d.Digest] = true
	} else if l.there[d.Digest] {
		return // it was there, and that is all there is to say
	}
	fmt.Fprintf(l.w, "%s: %s\n", format.ShortID(d.Digest.String()), state)
}

func (l *layerLines) pull(ev engine.PullEvent) {
	if !image.IsLayer(ev.Blob.MediaType) {
		return
	}
	if ev.Unpacked {
		l.print(ev.Blob, "Pull complete")
		return
	}
	states := map[content.State]string{
		content.Started: "Pulling fs layer", content.Done: "Download complete", content.Exists: "Already exists",
	}
	if s := states[ev.State]; s != "" {
		l.print(ev.Blob, s)
	}
}

func (l *layerLines) push(ev content.Event) {
	if !image.IsLayer(ev.Blob.MediaType) {
		return
	}
	switch ev.State {
	case content.Started:
		l.print(ev.Blob, "Preparing")
	case content.Done:
		l.print(ev.Blob, "Pushed")
	case content.Exists:
		l.print(ev.Blob, "Layer already exists")
	case content.Mounted:
		l.print(ev.Blob, "Mounted from "+strings.TrimPrefix(ev.From, "/"))
	case content.Skipped:
		l.print(ev.Blob, "Skipped foreign layer")
	}
}
