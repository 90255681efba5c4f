package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// The headings of `mica --help`.
const (
	groupCommon = "common"
	groupManage = "management"
	groupOther  = "commands"
)

// newRootCmd makes the whole command tree. name is what the program was called
// by: mica, or docker where a symlink of that name points here.
func newRootCmd(a *app, name string) *cobra.Command {
	root := &cobra.Command{
		Use:               name + " [OPTIONS] COMMAND [ARG...]",
		Short:             "Build, keep, inspect, move and run container images, without a daemon",
		SilenceUsage:      true,
		SilenceErrors:     true,
		TraverseChildren:  true,
		Version:           version,
		Args:              unknownCommand,
		RunE:              showHelp,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetVersionTemplate(versionLine() + "\n")
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommandGroupID(groupOther)
	addGlobalFlags(a, root)
	root.AddGroup(
		&cobra.Group{ID: groupCommon, Title: "Common Commands:"},
		&cobra.Group{ID: groupManage, Title: "Management Commands:"},
		&cobra.Group{ID: groupOther, Title: "Commands:"},
	)
	addGroup(root, groupCommon, newRunCmd(a), newExecCmd(a), newPsCmd(a, "ps"), newBuildCmd(a))
	addContainerVerbs(a, root)
	addGroup(root, groupManage, newContainerCmd(a), newVolumeCmd(a), newNetworkCmd(a), newImageCmd(a), newBuilderCmd(a), newBuildsCmd(a), newContextCmd(a), newBuildxCmd(a), newSystemCmd(a), newRegistryCmd(a), newManifestCmd(a), newConfigCmd(a))
	addImageTwins(a, root)
	addGroup(root, groupCommon, newLoginCmd(a), newLogoutCmd(a), newVersionCmd(a), newInfoCmd(a), newDoctorCmd(a))
	addGroup(root, groupOther, newCompletionCmd(a), newWhyCmd(a), newLintCmd(a), newCopyCmd(a), newSyncCmd(a), newTagsCmd(a), newDigestCmd(a), newReferrersCmd(a), newSearchCmd(a), newImagetoolsCmd(a))
	setHelpCommand(root)
	setHelp(root)
	return root
}

func addGroup(root *cobra.Command, group string, cmds ...*cobra.Command) {
	for _, c := range cmds {
		c.GroupID = group
		root.AddCommand(c)
	}
}

func addGlobalFlags(a *app, root *cobra.Command) {
	p := root.PersistentFlags()
	p.StringVar(&a.root, "root", defaultRoot(), "directory of the store (MICA_ROOT)")
	p.StringVar(&a.configDir, "config", defaultConfigDir(), "directory of docker's config.json (DOCKER_CONFIG)")
	p.BoolVar(&a.durable, "durable", defaultDurable(), "make what is stored survive power loss (MICA_DURABLE)")
	p.BoolVar(&a.hosts.offline, "offline", defaultOffline(), "ask no registry and no other server (MICA_OFFLINE)")
	p.BoolVarP(&a.debug, "debug", "D", false, "print more where something goes wrong")

	f := root.Flags()
	f.BoolP("version", "v", false, "print the version and quit")
	host := f.StringArrayP("host", "H", nil, "refused: mica has no daemon to connect to")
	dockerContext := f.StringP("context", "c", "", "refused but for \"default\": mica has no daemon to connect to")
	f.StringP("log-level", "l", "info", "accepted for docker's sake; see --debug")
	for _, hidden := range []string{"host", "context", "log-level"} {
		must(f.MarkHidden(hidden))
	}
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if len(*host) > 0 {
			return noDaemon("-H " + (*host)[0])
		}
		if *dockerContext != "" && *dockerContext != "default" {
			return noDaemon("--context " + *dockerContext)
		}
		return a.enterNamespace(cmd)
	}
}

func noDaemon(flag string) error {
	return withHint(fmt.Errorf("%s: mica works on this machine by itself and connects to no daemon", flag),
		"Leave the flag away. --root DIR chooses another store.")
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// group makes a command that only holds others.
func group(use, short string, cmds ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use + " COMMAND", Short: short, Args: unknownCommand, RunE: showHelp}
	g.AddCommand(cmds...)
	return g
}

// showHelp is what a command without a verb does: show its verbs.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// unknownCommand refuses words that are no command of cmd and names the ones meant.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command: %s %s", cmd.CommandPath(), args[0])
	if s := similarCommand(cmd, args[0]); s != "" {
		err = fmt.Errorf("%w (did you mean %s?)", err, s)
	}
	return withHint(err, fmt.Sprintf("Run '%s --help' for the commands there are.", cmd.CommandPath()))
}

// flagError is what a flag that cannot be read becomes.
func flagError(cmd *cobra.Command, err error) error {
	if s := similarFlag(cmd, err); s != "" {
		err = fmt.Errorf("%w (did you mean %s?)", err, s)
	}
	return withCode(125, withHint(err, usageHint(cmd)))
}

func usageHint(cmd *cobra.Command) string {
	return fmt.Sprintf("Usage:  %s\n\nRun '%s --help' for more.", cmd.UseLine(), cmd.CommandPath())
}

// args checks the number of arguments; most < 0 is no limit.
func args(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		var want string
		switch n := len(args); {
		case n >= least && (most < 0 || n <= most):
			return nil
		case most == 0:
			want = "takes no arguments"
		case least == most:
			want = fmt.Sprintf("needs %s", arguments(least))
		case most < 0:
			want = fmt.Sprintf("needs at least %s", arguments(least))
		case n < least:
			want = fmt.Sprintf("needs at least %s", arguments(least))
		default:
			want = fmt.Sprintf("takes at most %s", arguments(most))
		}
		return withHint(errors.New(cmd.CommandPath()+" "+want), usageHint(cmd))
	}
}

func arguments(n int) string {
	if n == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", n)
}
