package engine

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// change applies lines of a Dockerfile that change only the config, as
// `import -c` has them: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL,
// ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME and WORKDIR.
func change(c *image.Config, lines []string) error {
	for _, line := range lines {
		ast, err := parser.Parse(strings.NewReader(line))
		if err != nil {
			return badChange(line, err)
		}
		for _, node := range ast.AST.Children {
			if strings.EqualFold(node.Value, "FROM") {
				return badChange(line, errors.New("FROM does not change the config"))
			}
			cmd, err := instructions.ParseCommand(node)
			if err != nil {
				return badChange(line, err)
			}
			if err := changeOne(c, cmd); err != nil {
				return badChange(line, err)
			}
		}
	}
	return nil
}

func badChange(line string, err error) error {
	return refuse(errs.ErrInvalid, "change %q: %v", line, err)
}

func changeOne(c *image.Config, cmd instructions.Command) error {
	if x, ok := cmd.(instructions.SupportsSingleWordExpansion); ok {
		lex := shell.NewLex('\\')
		env := shell.EnvsFromSlice(c.Config.Env)
		err := x.Expand(func(word string) (string, error) {
			s, _, err := lex.ProcessWord(word, env)
			return s, err
		})
		if err != nil {
			return err
		}
	}
	cfg := &c.Config
	switch i := cmd.(type) {
	case *instructions.CmdCommand:
		cfg.Cmd = commandLine(c, i.ShellDependantCmdLine)
	case *instructions.EntrypointCommand:
		cfg.Entrypoint = commandLine(c, i.ShellDependantCmdLine)
	case *instructions.EnvCommand:
		for _, kv := range i.Env {
			setEnv(c, kv.Key, kv.Value)
		}
	case *instructions.ExposeCommand:
		return expose(c, i.Ports)
	case *instructions.HealthCheckCommand:
		h := *i.Health
		cfg.Healthcheck = &h
	case *instructions.LabelCommand:
		for _, kv := range i.Labels {
			put(&cfg.Labels, kv.Key, kv.Value)
		}
	case *instructions.OnbuildCommand:
		cfg.OnBuild = append(cfg.OnBuild, i.Expression)
	case *instructions.ShellCommand:
		cfg.Shell = i.Shell
	case *instructions.StopSignalCommand:
		cfg.StopSignal = i.Signal
	case *instructions.UserCommand:
		cfg.User = i.User
	case *instructions.VolumeCommand:
		for _, v := range i.Volumes {
			put(&cfg.Volumes, v, struct{}{})
		}
	case *instructions.WorkdirCommand:
		cfg.WorkingDir = path.Join("/", cfg.WorkingDir, i.Path)
		if path.IsAbs(i.Path) {
			cfg.WorkingDir = path.Clean(i.Path)
		}
	default:
		return fmt.Errorf("%s does not change the config", strings.ToUpper(cmd.Name()))
	}
	return nil
}

// commandLine wraps the shell form in the image's shell.
func commandLine(c *image.Config, l instructions.ShellDependantCmdLine) []string {
	if !l.PrependShell {
		return l.CmdLine
	}
	sh := c.Config.Shell
	if len(sh) == 0 {
		sh = []string{"/bin/sh", "-c"}
	}
	return append(slices.Clone(sh), l.CmdLine...)
}

func setEnv(c *image.Config, key, value string) {
	entry := key + "=" + value
	for i, e := range c.Config.Env {
		if strings.HasPrefix(e, key+"=") {
			c.Config.Env[i] = entry
			return
		}
	}
	c.Config.Env = append(c.Config.Env, entry)
}

func put[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}

// expose reads ports as EXPOSE has them: "80", "53/udp", "8000-8010/tcp".
func expose(c *image.Config, ports []string) error {
	for _, p := range ports {
		numbers, proto, ok := strings.Cut(p, "/")
		if proto = strings.ToLower(proto); !ok {
			proto = "tcp"
		}
		if !slices.Contains([]string{"tcp", "udp", "sctp"}, proto) {
			return fmt.Errorf("port %q: unknown protocol %q", p, proto)
		}
		first, last, ok := strings.Cut(numbers, "-")
		if !ok {
			last = first
		}
		low, err1 := strconv.ParseUint(first, 10, 16)
		high, err2 := strconv.ParseUint(last, 10, 16)
		if err := errors.Join(err1, err2); err != nil || low > high {
			return fmt.Errorf("port %q is no port or range of ports", p)
		}
		for n := low; n <= high; n++ {
			put(&c.Config.ExposedPorts, fmt.Sprintf("%d/%s", n, proto), struct{}{})
		}
	}
	return nil
}
