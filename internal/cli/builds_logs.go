package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/build/history"
	"github.com/mica-build/mica/errs"
)

func newBuildsLogsCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "logs [BUILD [STEP]]",
		Short: "Print what the steps of a build printed, all of it",
		Long: `Print what the steps of a build printed, all of it.

STEP is a step's number in 'mica builds show', or words of its name. Without it,
all steps follow one another, each under its name.`,
		Args:              args(0, 2),
		ValidArgsFunction: a.completeBuilds,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBuildsLogs(a, args)
		},
	}
}

func runBuildsLogs(a *app, args []string) error {
	h, err := a.history()
	if err != nil {
		return err
	}
	b, err := h.Build(first(args))
	if err != nil {
		return err
	}
	if len(args) < 2 {
		return printLogs(a, h, b)
	}
	n, err := h.FindStep(b, args[1])
	if err != nil {
		return err
	}
	log, err := h.Log(b, n)
	if errors.Is(err, errs.ErrNotFound) {
		return nil // it printed nothing
	}
	if err != nil {
		return err
	}
	defer log.Close()
	_, err = io.Copy(a.stdout, log)
	return err
}

func printLogs(a *app, h *history.History, b *history.Build) error {
	numbers, err := h.Logs(b)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		log, err := h.Log(b, n)
		if err != nil {
			return err
		}
		name, err := h.StepName(b, n)
		if err == nil {
			fmt.Fprintf(a.stdout, "#%d %s\n", n, name)
			_, err = io.Copy(a.stdout, log)
		}
		log.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
