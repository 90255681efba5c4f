package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/internal/ui/format"
)

type dfOptions struct {
	format  string
	verbose bool
}

func newDfCmd(a *app) *cobra.Command {
	var o dfOptions
	cmd := &cobra.Command{
		Use:   "df [OPTIONS]",
		Short: "Show what the disk space is spent on",
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDf(cmd.Context(), a, o)
		},
	}
	cmd.Flags().StringVar(&o.format, "format", "", formatHelp)
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "show each image and each entry of the build cache")
	return cmd
}

func runDf(ctx context.Context, a *app, o dfOptions) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	du, err := e.DiskUsage(ctx)
	if err != nil {
		return err
	}
	if o.verbose {
		return printUsage(a.stdout, o.format, du, time.Now())
	}
	k, err := a.keptUsage()
	if err != nil {
		return err
	}
	return format.Rows(a.stdout, o.format, "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}", dfRows(du, k))
}

// A dfRow is one line of `mica system df`.
type dfRow struct {
	Active      string
	Reclaimable string
	Size        string
	TotalCount  string `header:"TOTAL"`
	Type        string
}

// keptUsage is what containers and volumes take.
type keptUsage struct {
	containers, running    int
	containerSize, stopped int64 // bytes; of those that do not run
	volumes, usedVolumes   int
	volumeSize, unused     int64
	images                 map[string]int // containers by image
}

func (a *app) keptUsage() (keptUsage, error) {
	k := keptUsage{images: map[string]int{}}
	f, err := a.containers()
	if err != nil {
		return k, err
	}
	list, err := f.List()
	if err != nil {
		return k, err
	}
	for _, c := range list {
		n, err := treeSize(c.Upper())
		if err != nil {
			return k, err
		}
		k.containers++
		k.containerSize += n
		k.images[c.ImageID.String()]++
		if c.State.Up() {
			k.running++
		} else {
			k.stopped += n
		}
	}
	return k, a.volumeUsage(&k)
}

func (a *app) volumeUsage(k *keptUsage) error {
	vs, err := a.volumes()
	if err != nil {
		return err
	}
	list, err := vs.List()
	if err != nil {
		return err
	}
	used, err := a.usedVolumes()
	if err != nil {
		return err
	}
	for _, v := range list {
		n, err := treeSize(v.Dir())
		if err != nil {
			return err
		}
		k.volumes++
		k.volumeSize += n
		if len(used[v.Name]) > 0 {
			k.usedVolumes++
		} else {
			k.unused += n
		}
	}
	return nil
}

// dfRows has docker's four lines.
func dfRows(du engine.DiskUsage, k keptUsage) []dfRow {
	active, reclaimable := 0, int64(0)
	for _, c := range du.Cache {
		switch {
		case c.InUse:
			active++
		case !c.Shared:
			reclaimable += c.Size
		}
	}
	return []dfRow{
		{strconv.Itoa(len(k.images)), share(du.ImagesSize, du.ImagesSize), format.SizeExact(du.ImagesSize), strconv.Itoa(len(du.Images)), "Images"},
		{strconv.Itoa(k.running), share(k.stopped, k.containerSize), format.SizeExact(k.containerSize), strconv.Itoa(k.containers), "Containers"},
		{strconv.Itoa(k.usedVolumes), share(k.unused, k.volumeSize), format.SizeExact(k.volumeSize), strconv.Itoa(k.volumes), "Local Volumes"},
		{strconv.Itoa(active), format.SizeExact(reclaimable), format.SizeExact(du.CacheSize), strconv.Itoa(len(du.Cache)), "Build Cache"},
	}
}

// share prints a part and how many percent of the whole it is.
func share(part, whole int64) string {
	if whole == 0 {
		return format.SizeExact(part)
	}
	return fmt.Sprintf("%s (%d%%)", format.SizeExact(part), part*100/whole)
}

// A usageReport is what `mica system df -v` shows, for templates too.
type usageReport struct {
	Images     []usageImage
	Containers []string
	Volumes    []string
	BuildCache []usageCache
}

type usageImage struct {
	Containers   string
	CreatedAt    string
	CreatedSince string `header:"CREATED"`
	Digest       string
	ID           string `header:"IMAGE ID"`
	Repository   string
	SharedSize   string
	Size         string
	Tag          string
	UniqueSize   string
}

type usageCache struct {
	CacheType     string
	CreatedSince  string `header:"CREATED"`
	Description   string
	ID            string `header:"CACHE ID"`
	InUse         string
	LastUsedSince string `header:"LAST USED"`
	Shared        string
	Size          string
	UsageCount    string `header:"USAGE"`
}

func printUsage(w io.Writer, spec string, du engine.DiskUsage, now time.Time) error {
	cut := spec == "" || spec == "table"
	r := usageReport{Containers: []string{}, Volumes: []string{}}
	for _, m := range du.Images {
		r.Images = append(r.Images, newUsageImage(m, cut, now))
	}
	for i, c := range cacheRows(du.Cache, now) {
		if cut {
			c.ID = format.ShortID(c.ID)
		}
		if du.Cache[i].InUse {
			c.ID += "*"
		}
		r.BuildCache = append(r.BuildCache, usageCache{
			CacheType: c.Type, CreatedSince: c.CreatedSince, Description: c.Description, ID: c.ID, InUse: c.InUse,
			LastUsedSince: c.LastUsedSince, Shared: c.Shared, Size: c.Size, UsageCount: c.UsageCount,
		})
	}
	if !cut {
		return format.Object(w, spec, r)
	}
	return r.print(w, du)
}

func newUsageImage(m engine.ImageUsage, cut bool, now time.Time) usageImage {
	o := imagesOptions{noTrunc: !cut}
	row := nameRows(m.Image, o.row(m.Image, now), true)[0]
	u := usageImage(row)
	u.Containers = "0"
	u.Size, u.SharedSize, u.UniqueSize = format.Size(m.Size), format.SizeExact(m.Shared), format.SizeExact(m.Size-m.Shared)
	return u
}

// print writes docker's four tables.
func (r usageReport) print(w io.Writer, du engine.DiskUsage) error {
	fmt.Fprint(w, "Images space usage:\n\n")
	err := format.Rows(w, "", "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}", r.Images)
	if err != nil {
		return err
	}
	for _, t := range []struct{ title, headings string }{
		{"Containers", "CONTAINER ID|IMAGE|COMMAND|LOCAL VOLUMES|SIZE|CREATED|STATUS|NAMES"},
		{"Local Volumes", "VOLUME NAME|LINKS|SIZE"},
	} {
		fmt.Fprintf(w, "\n%s space usage:\n\n", t.title)
		if err := format.Rows(w, "", strings.ReplaceAll(t.headings, "|", "\t"), []struct{}{}); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "\nBuild cache usage: %s\n\n", format.SizeExact(du.CacheSize))
	return format.Rows(w, "", "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}", r.BuildCache)
}
