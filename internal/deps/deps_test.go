package deps

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mica-build/mica/"

// A rule says what of mica a package may import. Patterns are paths within the
// module; "x/..." is x and everything below it.
type rule struct {
	pkg     string
	imports []string
	reason  string
}

// The sets that rules below build on, from the bottom up: dependencies point
// down, engines do not know each other, faces know everything.
var (
	helpers    = []string{"internal/atomicfile", "internal/fault", "internal/lockfile", "internal/ocilayout", "internal/redact", "internal/safepath", "internal/tomlfile"}
	vocabulary = []string{"errs", "image", "ref"}
	data       = slices.Concat(helpers, vocabulary, []string{
		"content/...", "layer", "snapshot", "store",
	})
	engines = slices.Concat(data, []string{
		"build/...", "container/...", "sandbox/...", "snapshot/...", "registry/...", "transfer/...", "lint/...",
	})
	faces = slices.Concat(engines, []string{"engine", "internal/dockerconfig", "internal/ui/..."})
)

// rules are looked at in order: the first pattern that matches a package counts.
var rules = []rule{
	{"errs", nil, "sentinels lie below everything"},
	{"image", []string{"errs"}, "vocabulary"},
	{"ref", []string{"errs"}, "vocabulary"},
	{"internal/testenv", nil, "what tests need of the machine"},
	{"internal/fault", nil, "a helper named by its job"},
	{"internal/atomicfile", []string{"errs", "internal/fault"}, "a helper named by its job"},
	{"internal/lockfile", []string{"errs", "internal/fault"}, "a helper named by its job"},
	{"internal/dockerconfig", slices.Concat(helpers, []string{"errs"}), "docker's configuration, read by faces"},
	{"internal/ocilayout", vocabulary, "what a layout in a directory and one in a tar share"},
	{"internal/redact", nil, "a helper named by its job"},
	{"internal/safepath", []string{"errs"}, "a helper named by its job"},
	{"internal/tomlfile", []string{"errs"}, "a helper named by its job"},

	{"content", []string{"errs", "image"}, "interfaces know no implementation"},
	{"content/contenttest", []string{"content", "errs", "image"}, "the suite knows no implementation"},
	{"content/...", slices.Concat(helpers, vocabulary, []string{"content", "layer"}), "implementations do not know each other; an archive may be compressed"},
	{"layer", slices.Concat(helpers, vocabulary), "tar and trees, wherever they are kept"},
	{"snapshot", []string{"errs"}, "interfaces know no implementation"},
	{"snapshot/...", slices.Concat(helpers, []string{"errs", "snapshot", "layer"}), "stacks directories, wherever they come from"},
	{"store", slices.Concat(helpers, vocabulary, []string{"content", "layer"}), "keeps bytes; does not run, fetch or build"},
	{"sandbox/...", slices.Concat(helpers, []string{"errs", "sandbox/..."}), "runs a process in a directory; knows nothing of images"},
	{"registry/remote", slices.Concat(helpers, vocabulary, []string{"content", "registry/remote/..."}), "a client knows no store"},
	{"registry/hosts", []string{"errs", "internal/tomlfile", "ref", "registry/remote"}, "reads files for the client"},
	{"registry/server", slices.Concat(helpers, vocabulary, []string{"content/...", "registry/server/..."}), "a handler over content"},
	{"registry/server/access", slices.Concat(helpers, vocabulary, []string{"registry/server", "registry/server/storage"}), "hooks of the handler"},
	{"registry/server/operate", nil, "around any handler"},
	{"registry/server/storage", vocabulary, "interfaces know no implementation"},
	{"registry/server/storage/...", slices.Concat(helpers, vocabulary, []string{"content", "registry/server/storage/..."}), "implementations do not know each other, nor the handler"},
	{"transfer", data, "prepares what leaves the store"},
	{"transfer/download", data, "brings blobs into the store; knows registries by an interface"},
	{"transfer/mirror", slices.Concat(helpers, vocabulary, []string{"content/...", "registry/remote"}), "copies between places; knows the store by an interface"},

	{"lint/dockerfile", []string{"errs"}, "a file and the places in it"},
	{"lint/shell", []string{"lint/dockerfile"}, "scripts know Dockerfiles by their text only"},
	{"lint", []string{"errs", "lint/dockerfile", "lint/shell"}, "runs rules, whichever they are"},
	{"lint/pages", nil, "text"},
	{"lint/...", []string{"errs", "lint", "lint/dockerfile", "lint/shell"}, "rules, formats and settings do not know each other"},

	{"build/solve", slices.Concat(data, []string{"build/solve/..."}), "the solver knows steps by interface only"},
	{"build/frontend", slices.Concat(data, []string{"build/solve"}), "the language knows no executor"},
	{"build/...", slices.Concat(data, []string{"build/...", "sandbox", "registry/remote", "transfer"}), "an engine"},
	{"container/jsonlog", nil, "docker's log format"},
	{"container/event", nil, "a log of its own"},
	{"container/...", slices.Concat(data, []string{"container/...", "sandbox", "sandbox/cgroup", "sandbox/network"}), "an engine"},

	{"engine", slices.Concat(engines, nil), "joins the engines; knows no face"},
	{"internal/ui/...", []string{"errs", "internal/ui/..."}, "shows what it is given"},
	{"internal/cli", faces, "a face"},
	{"cmd/mica", []string{"internal/cli", "sandbox"}, "signals, cli.Main, exit code; the sandbox's own processes begin in main"},
	{"internal/deps", nil, "this test"},
	{"internal/...", faces, "other faces, benchmarks and tools"},
	{"examples/...", nil, "examples stand alone"},
}

// A foreign rule says which packages may import something of others' modules.
type foreign struct {
	prefix string
	by     []string
	reason string
}

// foreigns are looked at in order, like rules. What no prefix matches is free.
var foreigns = []foreign{
	{"github.com/spf13/", []string{"internal/cli"}, "the command line is the only user of cobra"},
	{"C", nil, "the binary is static: no cgo"},
	{"github.com/moby/buildkit/solver/pb", []string{"build/..."}, "LLB stays inside build"},
	{"github.com/moby/buildkit/solver/errdefs", []string{"build/...", "internal/..."}, "errors with source lines are shown by the faces"},
	{"github.com/moby/buildkit/client/llb", []string{"build/..."}, "LLB stays inside build"},
	{"github.com/moby/buildkit/client", []string{"build/...", "internal/..."}, "the status of a build is shown by the faces"},
	{"github.com/moby/buildkit/util/progress/progressui", []string{"internal/ui/..."}, "the display of a build"},
	{
		"github.com/moby/buildkit/frontend/dockerfile/",
		[]string{"build/...", "engine", "internal/cli", "lint/..."},
		"Dockerfile syntax: builds, and import -c",
	},
	{"github.com/moby/buildkit/solver", nil, "the solver is our own"},
	{"github.com/moby/buildkit/cache", nil, "the cache is our own"},
	{"github.com/moby/buildkit/snapshot", nil, "snapshots are our own"},
	{"github.com/moby/buildkit/executor", nil, "the sandbox is our own"},
	{"github.com/moby/buildkit/worker", nil, "there is no worker"},
	{"github.com/moby/buildkit/", []string{"build/...", "internal/..."}, "BuildKit is a library of the build"},
	{"github.com/vishvananda/netlink", []string{"sandbox/..."}, "networks are the sandbox's"},
	{"oras.land/", []string{"registry/remote", "internal/..."}, "authentication with registries"},
}

// matches says whether pattern is for pkg.
func matches(pattern, pkg string) bool {
	below, ok := strings.CutSuffix(pattern, "/...")
	return pkg == pattern || ok && (pkg == below || strings.HasPrefix(pkg, below+"/"))
}

func anyMatches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, pkg) })
}

// broken lists what is wrong with the imports of pkg.
func broken(pkg string, imports []string) []string {
	i := slices.IndexFunc(rules, func(r rule) bool { return matches(r.pkg, pkg) })
	if i < 0 {
		return []string{pkg + " has no rule: add one, with its reason"}
	}
	var out []string
	for _, imp := range imports {
		if own, ok := strings.CutPrefix(imp, module); ok {
			if !anyMatches(rules[i].imports, own) {
				out = append(out, pkg+" imports "+own+", but: "+rules[i].reason)
			}
			continue
		}
		f := slices.IndexFunc(foreigns, func(f foreign) bool { return f.covers(imp) })
		if f >= 0 && !anyMatches(foreigns[f].by, pkg) {
			out = append(out, pkg+" imports "+imp+", but: "+foreigns[f].reason)
		}
	}
	return out
}

// covers says whether imp is the package of the prefix, or below it.
func (f foreign) covers(imp string) bool {
	return imp == f.prefix || strings.HasPrefix(imp, strings.TrimSuffix(f.prefix, "/")+"/")
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		for _, s := range broken(p.name, p.imports) {
			t.Error(s)
		}
	}
}

type pkg struct {
	name    string
	imports []string
}

// packages lists the packages of the module with what they, not their tests, import.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, pkg{strings.TrimPrefix(p.ImportPath, module), p.Imports})
	}
	if len(list) < 10 {
		t.Fatalf("go list found only %d packages", len(list))
	}
	return list
}

// TestBroken makes sure that the test above can fail.
func TestBroken(t *testing.T) {
	for _, tt := range []struct {
		pkg, imp string
		want     bool
	}{
		{"errs", "fmt", false},
		{"errs", module + "image", true},
		{"store", module + "engine", true},
		{"store", module + "layer", false},
		{"content/memory", module + "content/layout", true},
		{"build", module + "container", true},
		{"engine", module + "internal/cli", true},
		{"internal/cli", module + "engine", false},
		{"internal/cli", "github.com/spf13/cobra", false},
		{"engine", "github.com/spf13/cobra", true},
		{"build/op", "github.com/moby/buildkit/solver/pb", false},
		{"build/op", "github.com/moby/buildkit/solver", true},
		{"build/op", "github.com/moby/buildkit/cache/contenthash", true},
		{"store", "C", true},
		{"util", "fmt", true},
	} {
		if got := len(broken(tt.pkg, []string{tt.imp})) > 0; got != tt.want {
			t.Errorf("%s importing %s: refused %v, want %v", tt.pkg, path.Base(tt.imp), got, tt.want)
		}
	}
}

func TestRulesHaveReasons(t *testing.T) {
	for _, r := range rules {
		if r.reason == "" {
			t.Errorf("the rule for %s has no reason", r.pkg)
		}
	}
	for _, f := range foreigns {
		if f.reason == "" {
			t.Errorf("the rule for %s has no reason", f.prefix)
		}
	}
}
