package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/container/event"
	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/internal/ui/format"
)

// event notes what happened to a container. That it cannot is no reason to fail.
func (a *app) event(c *record.Container, action string, attributes map[string]string) {
	all := map[string]string{"image": c.Image, "name": c.Name}
	maps.Copy(all, c.Labels)
	maps.Copy(all, attributes)
	_ = event.Add(a.root, event.Event{
		Type: "container", Action: action, Scope: "local", Time: time.Now(),
		Actor: event.Actor{ID: c.ID, Attributes: all},
	})
}

type eventsOptions struct {
	since, until, format string
	filter               []string
}

func newEventsCmd(a *app) *cobra.Command {
	var o eventsOptions
	cmd := &cobra.Command{
		Use: "events [OPTIONS]", Short: "Show what happens to containers, as it happens", Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.events(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.since, "since", "", "show events from this time on, a date or `10m` ago")
	f.StringVar(&o.until, "until", "", "show events until this time, and end then")
	f.StringVar(&o.format, "format", "", `"json", or a Go template for each event`)
	f.StringArrayVarP(&o.filter, "filter", "f", nil, "only events for which it holds: container, event, image, label, type")
	return cmd
}

func (a *app) events(ctx context.Context, o eventsOptions) error {
	fs, err := parseFilters(o.filter, "container", "event", "image", "label", "type", "scope")
	if err != nil {
		return err
	}
	eo := event.Options{Follow: true}
	now := time.Now()
	if o.since != "" {
		if eo.Since, err = parseTime(o.since, now); err != nil {
			return err
		}
	}
	if o.until != "" {
		if eo.Until, err = parseTime(o.until, now); err != nil {
			return err
		}
	}
	err = event.Read(ctx, a.root, eo, func(e event.Event) error {
		if !eventMatches(e, fs) {
			return nil
		}
		return a.printEvent(e, o.format)
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// eventMatches says whether all filters let the event through.
func eventMatches(e event.Event, fs filters) bool {
	attr := e.Actor.Attributes
	for key, values := range fs {
		any := slices.ContainsFunc(values, func(v string) bool {
			switch key {
			case "container":
				return strings.HasPrefix(e.Actor.ID, v) || attr["name"] == v
			case "event":
				action, _, _ := strings.Cut(e.Action, ":")
				return action == v || e.Action == v
			case "image":
				return attr["image"] == v
			case "label":
				k, want, has := strings.Cut(v, "=")
				got, ok := attr[k]
				return ok && (!has || got == want)
			case "type":
				return e.Type == v
			}
			return e.Scope == v
		})
		if !any {
			return false
		}
	}
	return true
}

// An eventRow is an event as docker shows it.
type eventRow struct {
	Type, Action string
	Actor        event.Actor
	Scope        string `json:"scope"`
	Time         int64  `json:"time"`
	TimeNano     int64  `json:"timeNano"`
	Status       string `json:"status"`
	ID           string `json:"id"`
	From         string `json:"from"`
}

func (a *app) printEvent(e event.Event, spec string) error {
	if spec != "" {
		return format.Object(a.stdout, spec, eventRow{
			e.Type, e.Action, e.Actor, e.Scope, e.Time.Unix(), e.Time.UnixNano(), e.Action, e.Actor.ID, e.Actor.Attributes["image"],
		})
	}
	var attr []string
	for _, k := range slices.Sorted(maps.Keys(e.Actor.Attributes)) {
		attr = append(attr, k+"="+e.Actor.Attributes[k])
	}
	_, err := fmt.Fprintf(a.stdout, "%s %s %s %s (%s)\n", e.Time.Format("2006-01-02T15:04:05.000000000Z07:00"), e.Type, e.Action, e.Actor.ID, strings.Join(attr, ", "))
	return err
}
