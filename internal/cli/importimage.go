package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
)

type importOptions struct {
	changes           []string
	message, platform string
}

func newImportCmd(a *app) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
		Short: "Make an image from a tar of a root filesystem",
		Args:  args(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImport(cmd.Context(), a, o, args[0], strings.Join(args[1:], ""))
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.changes, "change", "c", nil, "apply an instruction of a Dockerfile to the image's config")
	f.StringVarP(&o.message, "message", "m", "", "comment in the image's history")
	f.StringVar(&o.platform, "platform", "", "platform that the image is for")
	return cmd
}

func runImport(ctx context.Context, a *app, o importOptions, source, name string) error {
	eo := engine.ImportOptions{Name: name, Changes: o.changes, Message: o.message, Source: source}
	if o.platform != "" {
		p, err := parsePlatforms([]string{o.platform})
		if err != nil {
			return err
		}
		eo.Platform = p[0]
	}
	var err error
	if eo.Created, err = sourceDateEpoch(); err != nil {
		return err
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	r, err := a.openSource(ctx, source)
	if err != nil {
		return err
	}
	defer r.Close()
	id, err := e.Import(ctx, r, eo)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, id)
	return nil
}

// sourceDateEpoch is the time that reproducible images bear, zero for now.
func sourceDateEpoch() (time.Time, error) {
	s := os.Getenv("SOURCE_DATE_EPOCH")
	if s == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q is no number of seconds", s)
	}
	return time.Unix(n, 0), nil
}

// openSource opens a file, a URL, or stdin for "-".
func (a *app) openSource(ctx context.Context, source string) (io.ReadCloser, error) {
	switch {
	case source == "-":
		return a.input(ctx), nil
	case strings.HasPrefix(source, "http://"), strings.HasPrefix(source, "https://"):
		return download(ctx, source)
	}
	return os.Open(source)
}

// input is stdin, whose end comes at the latest with ctx's. A file is given as it
// is: reading one does not wait for anybody.
func (a *app) input(ctx context.Context) io.ReadCloser {
	if f, ok := a.stdin.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return f
		}
	}
	r, w := io.Pipe()
	stop := context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(w, a.stdin)
		stop()
		w.CloseWithError(err)
	}()
	return r
}

func download(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("download %s: %s", req.URL.Redacted(), resp.Status)
	}
	return resp.Body, nil
}

// userAgent is how mica presents itself to servers.
func userAgent() string { return "mica/" + version }
