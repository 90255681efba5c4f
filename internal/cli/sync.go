package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/store"
	"github.com/mica-build/mica/transfer/mirror"
)

const syncHelp = `Keep repositories equal to others, as a file says:

  concurrency = 8             # tags at once; 4 if it is not said
  verify-after = "24h"        # believe what was copied to be there for so long

  [[sync]]
  from = "docker.io/library/alpine"
  to = "registry.example.com/mirror/alpine"   # or store:NAME, or oci:DIR
  tags = ["3.*", "latest"]    # patterns; all, if there are none
  except = ["*-rc*"]
  platforms = ["linux/amd64"] # all, if there are none
  image-only = true           # leave out signatures, SBOMs, attestations
  delete = true               # remove tags that are not at the source any more

A tag that did not change costs one request. A tag that fails does not stop the
others; the exit code says that there was one.`

type syncOptions struct {
	dryRun   bool
	verify   bool
	progress string
	format   string
	quiet    bool
}

func newSyncCmd(a *app) *cobra.Command {
	var o syncOptions
	cmd := &cobra.Command{
		Use:   "sync [OPTIONS] FILE",
		Short: "Mirror repositories as a file says",
		Long:  syncHelp,
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSync(cmd.Context(), a, o, args[0])
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be copied and deleted")
	f.BoolVar(&o.verify, "verify", false, "ask the destination for every tag")
	f.StringVar(&o.progress, "progress", "auto", `"auto", "tty", "plain", "json" or "none"`)
	f.StringVar(&o.format, "format", "", `"json": a line for each tag`)
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print only what was copied, deleted or failed")
	return cmd
}

func runSync(ctx context.Context, a *app, o syncOptions, file string) error {
	if o.format != "" && o.format != "json" {
		return fmt.Errorf("--format %q: there is json", o.format)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	plan, err := mirror.ParsePlan(file, raw)
	if err != nil {
		return err
	}
	if o.verify {
		plan.VerifyAfter = new(mirror.Duration)
	}
	display, err := a.transferDisplay(o.progress, o.quiet || o.progress == "auto" && !isTerminal(a.stderr))
	if err != nil {
		return err
	}
	defer display.Close()
	s, err := a.store()
	if err != nil {
		return err
	}
	memory, err := recallSync(s)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	err = mirror.Sync(ctx, a.places(), plan, mirror.SyncOptions{
		Memory: memory, DryRun: o.dryRun, Progress: showEvent(display),
		Done: func(out mirror.Outcome) {
			mu.Lock()
			defer mu.Unlock()
			printOutcome(a, o, out)
		},
	})
	if serr := memory.save(ctx); err == nil {
		err = serr
	}
	return err
}

func printOutcome(a *app, o syncOptions, out mirror.Outcome) {
	if o.quiet && out.Action == "unchanged" {
		return
	}
	line := struct {
		From   string `json:"from"`
		To     string `json:"to"`
		Action string `json:"action"`
		Digest string `json:"digest,omitempty"`
		Error  string `json:"error,omitempty"`
	}{From: out.From, To: out.To, Action: out.Action, Digest: out.Digest.String()}
	if out.Err != nil {
		line.Error = out.Err.Error()
	}
	if o.format == "json" {
		raw, err := json.Marshal(line)
		if err == nil {
			fmt.Fprintf(a.stdout, "%s\n", raw)
		}
		return
	}
	fmt.Fprintf(a.stdout, "%s -> %s: %s", line.From, line.To, line.Action)
	if line.Digest != "" {
		fmt.Fprintf(a.stdout, " %s", line.Digest)
	}
	if line.Error != "" {
		fmt.Fprintf(a.stdout, ": %s", line.Error)
	}
	fmt.Fprintln(a.stdout)
}

// syncState is where the store keeps what sync copied.
const syncState = "sync"

// A syncMemory remembers in the store what was copied.
type syncMemory struct {
	store *store.Store
	mu    sync.Mutex
	all   map[string]mirror.Copied
	news  map[string]mirror.Copied
}

// recallSync reads the memory. A damaged one is an empty one: it only saves time.
func recallSync(s *store.Store) (*syncMemory, error) {
	m := &syncMemory{store: s, news: map[string]mirror.Copied{}}
	m.all = m.read()
	return m, nil
}

func (m *syncMemory) read() map[string]mirror.Copied {
	all := map[string]mirror.Copied{}
	if raw, err := m.store.State(syncState); err == nil && json.Unmarshal(raw, &all) != nil {
		all = map[string]mirror.Copied{}
	}
	return all
}

// Recall says what was copied to name.
func (m *syncMemory) Recall(name string) (mirror.Copied, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.all[name]
	return c, ok
}

// Remember keeps what was copied to name.
func (m *syncMemory) Remember(name string, c mirror.Copied) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[name], m.news[name] = c, c
}

// save adds what is new to what others may have written meanwhile.
func (m *syncMemory) save(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.news) == 0 {
		return nil
	}
	unlock, err := m.store.Lock(context.WithoutCancel(ctx), syncState)
	if err != nil {
		return err
	}
	defer unlock()
	all := m.read()
	for name, c := range m.news {
		all[name] = c
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return m.store.PutState(syncState, raw)
}
