// Package lint finds what is wrong, or will be, in a Dockerfile.
//
// A Linter runs rules over a parsed file and gives findings, each with a code, a
// level, the exact place and a message. Rules know nothing of each other and
// nothing of output: they are values in lists (lint/rules for those known by
// hadolint's codes, lint/checks for BuildKit's names, lint/script for the shell
// inside RUN), and lint/report writes findings down.
//
//	l := lint.Linter{Rules: slices.Concat(rules.All(), checks.All(), script.All())}
//	findings := l.Run("Dockerfile", raw)
//
// Comments can silence findings, in the forms that people have in their files:
//
//	# hadolint ignore=DL3008,SC2086         the next instruction; within a RUN, the next line
//	# hadolint stage ignore=DL3008          the stage that begins with the next FROM
//	# hadolint global ignore=DL3008         the file
//	# hadolint shell=bash                   the shell from here to the end of the stage
//	# check=skip=StageNameCasing            BuildKit's directive, at the head of the file
//
// A Linter may be used by several goroutines at once.
package lint
