package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/containerd/platforms"

	"github.com/mica-build/mica/build/op"
	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/build/source"
	"github.com/mica-build/mica/errs"
)

// Names of the front end's local sources.
const (
	localContext    = "context"
	localDockerfile = "dockerfile"
)

// stdinURL stands for a tar that came on standard input: the front end treats
// it as it treats an archive from the web.
const stdinURL = "http://stdin.mica.invalid/context"

// prepare finds contexts and Dockerfile and fills in the front end's options.
func (s *session) prepare(ctx context.Context) (err error) {
	if s.outs, err = s.outputs(); err != nil {
		return err
	}
	if s.r.Context == "-" && s.r.Dockerfile == "-" {
		return errors.New("context and Dockerfile cannot both come from standard input: put one of them in a file")
	}
	if err := s.mainContext(ctx); err != nil {
		return err
	}
	if err := s.dockerfile(ctx); err != nil {
		return err
	}
	if err := s.namedContexts(ctx); err != nil {
		return err
	}
	return s.frontendOptions()
}

func (s *session) mainContext(ctx context.Context) error {
	kind, err := source.ParseContext(s.r.Context)
	if err != nil {
		return err
	}
	switch kind {
	case source.Git, source.HTTP:
		s.opts[localContext] = s.r.Context
		return nil
	case source.Stdin:
		return s.stdinContext(ctx)
	}
	dir, err := directory(s.r.Context)
	if err != nil {
		return fmt.Errorf("build context: %w", err)
	}
	s.world.Locals[localContext] = &solve.Local{Name: localContext, Dir: dir}
	return nil
}

// stdinContext takes a tar, which becomes the context, or a Dockerfile, which
// has an empty one.
func (s *session) stdinContext(ctx context.Context) error {
	tmp, err := s.store.TempDir(ctx, "stdin-")
	if err != nil {
		return err
	}
	s.done = append(s.done, func() { os.RemoveAll(tmp) })
	path, kind, err := source.SpoolStdin(s.stdin(), tmp)
	if err != nil {
		return fmt.Errorf("build context on standard input: %w", err)
	}
	if kind == source.Tar {
		s.opts[localContext] = stdinURL
		s.world.Files[stdinURL] = path
		return nil
	}
	if s.r.Dockerfile != "" {
		return errors.New("standard input holds a Dockerfile, and -f names another one: give the context as a directory or a tar")
	}
	empty, named := filepath.Join(tmp, "empty"), filepath.Join(tmp, "Dockerfile")
	if err := errors.Join(os.Mkdir(empty, 0o755), os.Rename(path, named)); err != nil {
		return err
	}
	s.world.Locals[localContext] = &solve.Local{Name: localContext, Dir: empty}
	s.useDockerfile(named)
	return nil
}

func (s *session) stdin() io.Reader {
	if s.r.Stdin == nil {
		return strings.NewReader("")
	}
	return s.r.Stdin
}

// useDockerfile makes the file at path the Dockerfile.
func (s *session) useDockerfile(path string) {
	s.world.Locals[localDockerfile] = &solve.Local{Name: localDockerfile, Dir: filepath.Dir(path)}
	s.opts["filename"] = filepath.Base(path)
	s.opts["dockerfilekey"] = localDockerfile
}

// dockerfile finds the Dockerfile: beside a remote context, in a local one, or
// where -f says.
func (s *session) dockerfile(ctx context.Context) error {
	if s.world.Locals[localDockerfile] != nil {
		return nil
	}
	name := s.r.Dockerfile
	local := s.world.Locals[localContext]
	switch {
	case name == "-":
		return s.spoolDockerfile(ctx, s.stdin())
	case isURL(name):
		return s.fetchDockerfile(ctx, name)
	case local == nil && name == "":
		return nil
	case local == nil && !(filepath.IsAbs(name) && fileExists(name)):
		// A path inside the remote context, whatever has that name here.
		s.opts["filename"] = filepath.ToSlash(name)
		return nil
	case name == "":
		path := filepath.Join(local.Dir, "Dockerfile")
		if !fileExists(path) && fileExists(filepath.Join(local.Dir, "dockerfile")) {
			path = filepath.Join(local.Dir, "dockerfile")
		}
		name = path
	case !filepath.IsAbs(name) && !fileExists(name) && fileExists(filepath.Join(local.Dir, name)):
		name = filepath.Join(local.Dir, name)
	}
	st, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read Dockerfile: open %s: %w: name it with -f", name, fs.ErrNotExist)
	} else if err != nil {
		return fmt.Errorf("read Dockerfile: %w", err)
	}
	if st.IsDir() {
		return fmt.Errorf("read Dockerfile: %s is a directory: name the file with -f", name)
	}
	if f, err := os.Open(name); err != nil {
		return fmt.Errorf("read Dockerfile: %w", err)
	} else if !st.Mode().IsRegular() { // a pipe, such as a shell's <(...)
		defer f.Close()
		return s.spoolDockerfile(ctx, f)
	} else {
		f.Close()
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	s.useDockerfile(abs)
	return nil
}

func (s *session) spoolDockerfile(ctx context.Context, r io.Reader) error {
	tmp, err := s.store.TempDir(ctx, "dockerfile-")
	if err != nil {
		return err
	}
	s.done = append(s.done, func() { os.RemoveAll(tmp) })
	data, err := readAll(r, maxDockerfile)
	if err != nil {
		return fmt.Errorf("read Dockerfile: %w", err)
	}
	path := filepath.Join(tmp, "Dockerfile")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	s.useDockerfile(path)
	return nil
}

func (s *session) fetchDockerfile(ctx context.Context, url string) error {
	res, err := s.world.Sources.FetchHTTP(ctx, source.HTTPRequest{URL: url})
	if err != nil {
		return fmt.Errorf("read Dockerfile: %w", err)
	}
	f, err := os.Open(res.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.spoolDockerfile(ctx, f)
}

// maxDockerfile is far above any Dockerfile; the front end has a bound of its own.
const maxDockerfile = 16 << 20

func readAll(r io.Reader, limit int64) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r, limit))
}

// namedContexts translates --build-context into the front end's terms.
func (s *session) namedContexts(ctx context.Context) error {
	names := make([]string, 0, len(s.r.BuildContexts))
	for n := range s.r.BuildContexts {
		names = append(names, n)
	}
	sort.Strings(names)
	for i, n := range names {
		v := s.r.BuildContexts[n]
		switch {
		case strings.HasPrefix(v, "docker-image://"), strings.HasPrefix(v, "target:"), strings.HasPrefix(v, "input:"):
		case strings.HasPrefix(v, "container-image://"):
			v = "docker-image://" + strings.TrimPrefix(v, "container-image://")
		case strings.HasPrefix(v, "oci-layout://"):
			id := "layout-" + strconv.Itoa(i)
			var err error
			if v, err = s.images.addLayout(ctx, id, strings.TrimPrefix(v, "oci-layout://")); err != nil {
				return fmt.Errorf("build context %s: %w", n, err)
			}
		default:
			if kind, err := source.ParseContext(v); err != nil {
				return fmt.Errorf("build context %s: %w", n, err)
			} else if kind == source.Git || kind == source.HTTP {
				break
			}
			dir, err := directory(v)
			if err != nil {
				return fmt.Errorf("build context %s: %w", n, err)
			}
			local := n
			if n == localContext || n == localDockerfile { // those are taken
				local = "_" + n
			}
			s.world.Locals[local] = &solve.Local{Name: local, Dir: dir}
			v = "local:" + local
		}
		s.opts["context:"+contextName(n)] = v
	}
	return nil
}

// contextName is the form in which the front end looks a context up: a familiar
// image name without :latest.
func contextName(n string) string { return strings.TrimSuffix(n, ":latest") }

// frontendOptions are all settings that are no sources.
func (s *session) frontendOptions() error {
	r, o := s.r, s.opts
	set := func(k, v string) {
		if v != "" {
			o[k] = v
		}
	}
	set("target", r.Target)
	for k, v := range r.BuildArgs {
		o["build-arg:"+k] = v
	}
	for k, v := range r.Labels {
		o["label:"+k] = v
	}
	if r.NoCache {
		o["no-cache"] = ""
	} else if len(r.NoCacheFilter) > 0 {
		o["no-cache"] = strings.Join(r.NoCacheFilter, ",")
	}
	o["image-resolve-mode"] = "local"
	if r.Pull {
		o["image-resolve-mode"] = "pull"
	}
	switch r.Network {
	case "", "default", "bridge":
	case "host", "none":
		o["force-network-mode"] = r.Network
	default:
		return fmt.Errorf("network %q: %w: use default, none or host", r.Network, errs.ErrUnsupported)
	}
	set("add-hosts", strings.Join(addHosts(r.AddHosts), ","))
	if r.ShmSize > 0 {
		o["shm-size"] = strconv.FormatInt(r.ShmSize, 10)
	}
	set("ulimit", strings.Join(r.Ulimits, ","))
	set("cgroup-parent", r.CgroupParent)
	s.resourceOptions()
	if err := s.platformOptions(); err != nil {
		return err
	}
	set("build-arg:SOURCE_DATE_EPOCH", r.SourceDateEpoch)
	return nil
}

func (s *session) resourceOptions() {
	num := func(k string, v int64) {
		if v != 0 {
			s.opts[k] = strconv.FormatInt(v, 10)
		}
	}
	r := s.r.Resources
	num("memory", r.Memory)
	num("memswap", r.MemorySwap)
	num("cpushares", int64(r.CPUShares))
	num("cpuperiod", int64(r.CPUPeriod))
	num("cpuquota", r.CPUQuota)
	if r.CpusetCPUs != "" {
		s.opts["cpusetcpus"] = r.CpusetCPUs
	}
	if r.CpusetMems != "" {
		s.opts["cpusetmems"] = r.CpusetMems
	}
}

func (s *session) platformOptions() error {
	var out []string
	for _, list := range s.r.Platforms {
		for _, p := range strings.Split(list, ",") {
			p = strings.TrimSpace(p)
			if p == "" {
				continue
			}
			if p == "local" {
				p = platforms.FormatAll(s.host())
			}
			if _, err := platforms.Parse(p); err != nil {
				return fmt.Errorf("platform %q: %w", p, err)
			}
			out = append(out, p)
		}
	}
	if len(out) > 0 {
		s.opts["platform"] = strings.Join(out, ",")
	}
	return nil
}

// addHosts turns HOST:IP into HOST=IP. The front end takes addresses only, so
// host-gateway, whose address the sandbox knows, goes through as a marker.
func addHosts(in []string) []string {
	out := make([]string, len(in))
	for i, h := range in {
		if !strings.Contains(h, "=") {
			h = strings.Replace(h, ":", "=", 1)
		}
		if name, ip, _ := strings.Cut(h, "="); ip == "host-gateway" {
			h = name + "=" + op.HostGateway
		} else {
			h = name + "=" + strings.Trim(ip, "[]")
		}
		out[i] = h
	}
	return out
}

// directory gives the absolute path of an existing directory.
func directory(path string) (string, error) {
	if path == "" {
		return "", fmt.Errorf("no directory given: %w: use . for this one", errs.ErrInvalid)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	st, err := os.Stat(abs)
	if err != nil {
		return "", err
	}
	if !st.IsDir() {
		return "", fmt.Errorf("%s is not a directory", path)
	}
	return filepath.EvalSymlinks(abs)
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func isURL(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
}
