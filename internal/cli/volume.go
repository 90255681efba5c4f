package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/container/volume"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/ui/format"
)

// newVolumeCmd is `mica volume`.
func newVolumeCmd(a *app) *cobra.Command {
	return group("volume", "Manage volumes", newVolumeCreateCmd(a), newVolumeLsCmd(a), newVolumeInspectCmd(a), newVolumeRmCmd(a), newVolumePruneCmd(a))
}

func newVolumeCreateCmd(a *app) *cobra.Command {
	var labels, options []string
	var driver string
	cmd := &cobra.Command{
		Use: "create [OPTIONS] [VOLUME]", Short: "Create a volume", Args: args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if driver != "local" {
				return fmt.Errorf("--driver %q: %w: there is local", driver, errs.ErrUnsupported)
			}
			if len(options) > 0 {
				return withHint(fmt.Errorf("--opt %s: %w", options[0], errs.ErrUnsupported), "Mount the file system on the host, and use -v /path:/target.")
			}
			v := volume.Volume{Labels: map[string]string{}}
			if len(args) > 0 {
				v.Name = args[0]
			}
			for _, l := range labels {
				key, value, _ := strings.Cut(l, "=")
				v.Labels[key] = value
			}
			vs, err := a.volumes()
			if err != nil {
				return err
			}
			made, _, err := vs.Create(cmd.Context(), v)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.stdout, made.Name)
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&labels, "label", nil, "label, `key=value`")
	cmd.Flags().StringVarP(&driver, "driver", "d", "local", "local")
	cmd.Flags().StringArrayVarP(&options, "opt", "o", nil, "refused: volumes are directories")
	must(cmd.Flags().MarkHidden("opt"))
	return cmd
}

const volumeTable = "{{.Driver}}\t{{.Name}}"

// A volumeRow is one line of `mica volume ls`.
type volumeRow struct {
	Driver     string
	Labels     string
	Links      string
	Mountpoint string
	Name       string `header:"VOLUME NAME"`
	Scope      string
	Size       string
}

func newVolumeLsCmd(a *app) *cobra.Command {
	var quiet bool
	var spec string
	var filter []string
	cmd := &cobra.Command{
		Use: "ls [OPTIONS]", Aliases: []string{"list"}, Short: "List volumes", Args: args(0, 0),
		RunE: func(_ *cobra.Command, _ []string) error {
			list, err := a.chosenVolumes(filter)
			if err != nil {
				return err
			}
			if quiet && spec == "" {
				spec = "{{.Name}}"
			}
			var rows []volumeRow
			for _, v := range list {
				rows = append(rows, volumeRow{
					Driver: "local", Labels: strings.Join(sortedPairs(v.Labels), ","), Links: "N/A", Mountpoint: v.Dir(), Name: v.Name, Scope: "local", Size: "N/A",
				})
			}
			return format.Rows(a.stdout, spec, volumeTable, rows)
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "only show names")
	cmd.Flags().StringVar(&spec, "format", "", formatHelp)
	cmd.Flags().StringArrayVarP(&filter, "filter", "f", nil, "only volumes for which it holds: dangling, driver, label, name")
	return cmd
}

// chosenVolumes are those that the filters let through.
func (a *app) chosenVolumes(filter []string) ([]*volume.Volume, error) {
	fs, err := parseFilters(filter, "dangling", "driver", "label", "name")
	if err != nil {
		return nil, err
	}
	dangling, err := fs.boolean("dangling")
	if err != nil {
		return nil, err
	}
	vs, err := a.volumes()
	if err != nil {
		return nil, err
	}
	list, err := vs.List()
	if err != nil {
		return nil, err
	}
	used, err := a.usedVolumes()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(v *volume.Volume) bool {
		switch {
		case dangling != nil && *dangling == (len(used[v.Name]) > 0):
			return true
		case len(fs["driver"]) > 0 && !slices.Contains(fs["driver"], "local"):
			return true
		case len(fs["name"]) > 0 && !slices.ContainsFunc(fs["name"], func(s string) bool { return matchesName(v.Name, s) }):
			return true
		}
		return !hasLabels(v.Labels, fs["label"])
	}), nil
}

// hasLabels says whether labels have all that are wanted, "key" or "key=value".
func hasLabels(labels map[string]string, want []string) bool {
	for _, l := range want {
		k, value, has := strings.Cut(l, "=")
		if got, ok := labels[k]; !ok || has && got != value {
			return false
		}
	}
	return true
}

// usedVolumes says which containers have which volume.
func (a *app) usedVolumes() (map[string][]*record.Container, error) {
	f, err := a.containers()
	if err != nil {
		return nil, err
	}
	list, err := f.List()
	if err != nil {
		return nil, err
	}
	used := map[string][]*record.Container{}
	for _, c := range list {
		for _, v := range c.Volumes {
			used[v.Name] = append(used[v.Name], c)
		}
	}
	return used, nil
}

// A volumeInspection is what docker shows of a volume.
type volumeInspection struct {
	CreatedAt  string
	Driver     string
	Labels     map[string]string
	Mountpoint string
	Name       string
	Options    map[string]string
	Scope      string
}

func newVolumeInspectCmd(a *app) *cobra.Command {
	var spec string
	cmd := &cobra.Command{
		Use: "inspect [OPTIONS] VOLUME [VOLUME...]", Short: "Show everything about volumes", Args: args(1, -1),
		RunE: func(_ *cobra.Command, args []string) error { return a.inspectVolumes(args, spec) },
	}
	cmd.Flags().StringVarP(&spec, "format", "f", "", inspectFormatHelp)
	return cmd
}

func (a *app) inspectVolumes(names []string, spec string) error {
	vs, err := a.volumes()
	if err != nil {
		return err
	}
	var found []volumeInspection
	var missing failures
	for _, n := range names {
		v, err := vs.Find(n)
		if errors.Is(err, errs.ErrNotFound) {
			missing = append(missing, err)
			continue
		}
		if err != nil {
			return err
		}
		found = append(found, volumeInspection{v.Created.Format(time.RFC3339), "local", v.Labels, v.Dir(), v.Name, v.Options, "local"})
	}
	if err := format.Objects(a.stdout, spec, found); err != nil {
		return err
	}
	return missing.err()
}

func newVolumeRmCmd(a *app) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "rm [OPTIONS] VOLUME [VOLUME...]", Aliases: []string{"remove"}, Short: "Remove volumes", Args: args(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			vs, err := a.volumes()
			if err != nil {
				return err
			}
			used, err := a.usedVolumes()
			if err != nil {
				return err
			}
			var failed failures
			for _, n := range args {
				v, err := vs.Find(n)
				switch {
				case errors.Is(err, errs.ErrNotFound) && force:
					fmt.Fprintln(a.stdout, n)
					continue
				case err == nil && len(used[n]) > 0:
					err = fmt.Errorf("remove %s: volume is in use - [%s]: %w", n, strings.Join(containerIDs(used[n]), ", "), errs.ErrConflict)
				case err == nil:
					err = vs.Remove(v)
				}
				if err != nil {
					failed = append(failed, err)
					continue
				}
				fmt.Fprintln(a.stdout, n)
			}
			return failed.err()
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "volumes that are not there are no error")
	return cmd
}

func containerIDs(list []*record.Container) []string {
	var ids []string
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids
}

func newVolumePruneCmd(a *app) *cobra.Command {
	var all, force bool
	var filter []string
	cmd := &cobra.Command{
		Use: "prune [OPTIONS]", Short: "Remove volumes that no container has", Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			fs, err := parseFilters(filter, "label", "all")
			if err != nil {
				return err
			}
			what := "anonymous "
			if all {
				what = ""
			}
			if !force {
				if err := a.confirm(cmd.Context(), "WARNING! This will remove "+what+"local volumes not used by at least one container."); err != nil {
					return err
				}
			}
			return a.pruneVolumes(all || slices.Contains(fs["all"], "true"), fs["label"])
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "those with a name, too")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	cmd.Flags().StringArrayVar(&filter, "filter", nil, "only volumes for which it holds: label, all")
	return cmd
}

func (a *app) pruneVolumes(all bool, labels []string) error {
	list, err := a.unusedVolumes(all, labels, nil)
	if err != nil {
		return err
	}
	freed, err := a.removeAll("Volumes", false, list)
	if err != nil {
		return err
	}
	printReclaimed(a, false, freed)
	return nil
}

// unusedVolumes are those that no container has but for those that are to be removed, too.
func (a *app) unusedVolumes(all bool, labels []string, without []removable) ([]removable, error) {
	vs, err := a.volumes()
	if err != nil {
		return nil, err
	}
	list, err := vs.List()
	if err != nil {
		return nil, err
	}
	used, err := a.usedVolumes()
	if err != nil {
		return nil, err
	}
	var out []removable
	for _, v := range list {
		users := slices.DeleteFunc(used[v.Name], func(c *record.Container) bool {
			return slices.ContainsFunc(without, func(r removable) bool { return r.name == c.ID })
		})
		if len(users) == 0 && (all || v.Anonymous) && hasLabels(v.Labels, labels) {
			out = append(out, removable{v.Name, v.Dir(), func() error { return vs.Remove(v) }})
		}
	}
	return out, nil
}
