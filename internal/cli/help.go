package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
)

// helpTemplate shows a command the way docker's users expect it.
const helpTemplate = `Usage:  {{.UseLine}}

{{or .Long .Short}}
{{- if .Aliases}}

Aliases:
  {{.NameAndAliases}}{{end}}
{{- $cmd := .}}
{{- if and .HasAvailableSubCommands (not .Groups)}}

Commands:
{{- range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}}  {{.Short}}{{end}}{{end}}{{end}}
{{- range $g := .Groups}}

{{$g.Title}}
{{- range $cmd.Commands}}{{if and .IsAvailableCommand (eq .GroupID $g.ID)}}
  {{rpad .Name .NamePadding}}  {{.Short}}{{end}}{{end}}{{end}}
{{- if .HasAvailableLocalFlags}}

Options:
{{trimTrailingWhitespaces .LocalFlags.FlagUsages}}{{end}}
{{- if .HasAvailableInheritedFlags}}

Global Options:
{{trimTrailingWhitespaces .InheritedFlags.FlagUsages}}{{end}}
{{- if .HasAvailableSubCommands}}

Run '{{.CommandPath}} COMMAND --help' for more about a command.{{end}}
`

// setHelp gives cmd and all below it the help above.
func setHelp(cmd *cobra.Command) {
	cmd.SetHelpTemplate(helpTemplate)
	cmd.SetUsageTemplate(helpTemplate)
	plainUseLines(cmd)
}

// plainUseLines keeps cobra from adding [flags] to what we wrote.
func plainUseLines(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	for _, c := range cmd.Commands() {
		plainUseLines(c)
	}
}

// setHelpCommand makes `help` refuse what is no command.
func setHelpCommand(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() != "help" {
			continue
		}
		c.Run, c.RunE = nil, func(_ *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return withHint(errors.New("unknown help topic: "+strings.Join(args, " ")),
					"Run '"+root.CommandPath()+" --help' for the commands there are.")
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		}
	}
}
