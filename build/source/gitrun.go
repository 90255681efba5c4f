package source

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// A gitRunner runs git with nothing from the user's environment but the path,
// proxies and certificates. The zero value of each field leaves it out.
type gitRunner struct {
	program string
	dir     string // repository
	tree    string // work tree, also the working directory
	index   string // index file
	ssh     string // ssh command line
	agent   string // socket of the ssh agent
	// headers are Authorization headers by the URL they are for. They travel
	// in the environment, which other users cannot read as they can arguments.
	headers [][2]string
}

// gitConfig is what git is told each time. Repositories bring no configuration
// of their own, but they may have hooks' names and submodules' addresses.
var gitConfig = []string{
	"protocol.allow=never",
	"protocol.http.allow=always",
	"protocol.https.allow=always",
	"protocol.ssh.allow=always",
	"protocol.git.allow=always",
	"protocol.file.allow=user", // never from a submodule
	"core.hooksPath=/dev/null",
	"core.fsmonitor=false",
	"core.attributesFile=/dev/null",
	"core.excludesFile=/dev/null",
	"core.logAllRefUpdates=false",
	"credential.helper=",
	"gc.auto=0",
	"maintenance.auto=false",
	"init.defaultBranch=master",
	"advice.detachedHead=false",
	"fetch.recurseSubmodules=false",
	"submodule.recurse=false",
	"checkout.workers=0",
}

// passedEnv are the variables of this process that git sees.
var passedEnv = []string{
	"PATH",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

// maxGitOutput bounds what git may say on standard output, in bytes.
const maxGitOutput = 64 << 20

func (g gitRunner) run(ctx context.Context, args ...string) ([]byte, error) {
	program := g.program
	if program == "" {
		program = "git"
	}
	cmd := exec.CommandContext(ctx, program, g.args(args)...)
	if errors.Is(cmd.Err, exec.ErrNotFound) {
		return nil, fmt.Errorf("git sources need the program git (Debian package git): %w: %w", errs.ErrUnsupported, cmd.Err)
	}
	out := &capped{limit: maxGitOutput}
	said := &tail{limit: 8 << 10}
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = g.tree, g.env(), out, said
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	if err := runIsolated(cmd); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("git %s: %w", verb(args), context.Cause(ctx))
		}
		return nil, &gitError{verb: verb(args), said: g.redact(said.String()), err: err}
	}
	return out.Bytes(), nil
}

// verb is git's command, past the settings before it.
func verb(args []string) string {
	for len(args) > 2 && args[0] == "-c" {
		args = args[2:]
	}
	return args[0]
}

func (g gitRunner) args(args []string) []string {
	var all []string
	for _, kv := range gitConfig {
		all = append(all, "-c", kv)
	}
	if g.dir != "" {
		all = append(all, "--git-dir="+g.dir)
	}
	if g.tree != "" {
		all = append(all, "--work-tree="+g.tree)
	}
	return append(all, args...)
}

func (g gitRunner) env() []string {
	env := []string{
		"LC_ALL=C", "HOME=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_ADVICE=0", "GIT_TEMPLATE_DIR=", "GIT_DEFAULT_REF_FORMAT=files",
		"GIT_CONFIG_COUNT=" + strconv.Itoa(len(g.headers)),
	}
	for _, name := range passedEnv {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	for i, h := range g.headers {
		n := strconv.Itoa(i)
		env = append(env, "GIT_CONFIG_KEY_"+n+"=http."+h[0]+".extraheader", "GIT_CONFIG_VALUE_"+n+"=Authorization: "+h[1])
	}
	if g.ssh != "" {
		env = append(env, "GIT_SSH_VARIANT=ssh", "GIT_SSH_COMMAND="+g.ssh)
	}
	if g.agent != "" {
		env = append(env, "SSH_AUTH_SOCK="+g.agent)
	}
	if g.index != "" {
		env = append(env, "GIT_INDEX_FILE="+g.index)
	}
	return env
}

// redact takes credentials and control characters out of what git said, though
// git knows better than to print either.
func (g gitRunner) redact(said string) string {
	for _, h := range g.headers {
		_, credentials, _ := strings.Cut(h[1], " ")
		for _, s := range []string{h[1], credentials, decoded(credentials)} {
			if s != "" {
				said = strings.ReplaceAll(said, s, "xxxxx")
			}
		}
	}
	return said
}

// decoded gives the password of a basic authorization's credentials, or "".
func decoded(credentials string) string {
	raw, err := base64.StdEncoding.DecodeString(credentials)
	if err != nil {
		return ""
	}
	_, password, _ := strings.Cut(string(raw), ":")
	return password
}

// runIsolated runs cmd with umask 022 in a process group of its own, which dies
// with the context and with this process. The umask belongs to the thread that
// starts it, which ends with the command.
func runIsolated(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGTERM}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is spoiled
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			done <- fmt.Errorf("unshare: %w", err)
			return
		}
		unix.Umask(0o022)
		done <- cmd.Run()
	}()
	return <-done
}
