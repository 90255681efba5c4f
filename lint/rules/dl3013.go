package rules

import (
	"slices"
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3013 = lint.Rule{
	Code: "DL3013", Level: lint.Warning, Title: "pip installs a package of any version",
	Check: onPackages("pip installs %s in whatever version there is that day; say %s==VERSION, or use a requirements file",
		pipPackages, pipPinned),
}

// isPip says whether a command is pip install, also by way of python -m.
func isPip(c *shell.Command) bool {
	if strings.HasPrefix(c.Name, "python") {
		i := slices.IndexFunc(c.Args, func(a shell.Arg) bool { return a.Text == "-m" })
		return i >= 0 && i+2 < len(c.Args) && c.Args[i+1].Text == "pip" && hasInstall(c.Args[i+2:])
	}
	return strings.HasPrefix(c.Name, "pip") && !strings.HasPrefix(c.Name, "pipenv") && hasInstall(c.Args)
}

func hasInstall(args []shell.Arg) bool {
	return slices.ContainsFunc(args, func(a shell.Arg) bool { return a.Text == "install" })
}

// pipPackages are what pip install is to install, unless files say it.
func pipPackages(c *shell.Command) []shell.Arg {
	if !isPip(c) || c.Has("--requirement", "-r", ".") || c.HasPrefix("--requirement=") || c.Flag("c", "constraint", "r") > 0 {
		return nil
	}
	ops := c.Operands("abi", "b", "build", "cache-dir", "cert", "client-cert", "config-settings", "e", "editable",
		"exists-action", "extra-index-url", "f", "find-links", "global-option", "i", "implementation", "index-url",
		"install-option", "log", "m", "no-binary", "only-binary", "platform", "prefix", "progress-bar", "proxy",
		"python", "python-version", "report", "retries", "root", "root-user-action", "src", "t", "target", "timeout",
		"trusted-host", "upgrade-strategy")
	i := slices.IndexFunc(ops, func(a shell.Arg) bool { return a.Text == "install" })
	return without(ops[i+1:], "install")
}

// pipPinned says whether what pip is given is one version.
func pipPinned(s string) bool {
	if vcs(s) {
		return strings.Contains(s, "@")
	}
	return hasAny(s, "==", ">=", "<=", ">", "<", "!=", "~=") || strings.Contains(s, "/") || endsInAny(s, ".whl", ".tar.gz")
}

// vcs says whether pip would fetch s with a version control system.
func vcs(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	if !ok {
		scheme, _, ok = strings.Cut(s, ":")
	}
	kind, _, _ := strings.Cut(scheme, "+")
	return ok && slices.Contains([]string{"git", "hg", "svn", "bzr"}, kind)
}
