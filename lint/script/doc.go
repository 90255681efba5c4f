// Package script has rules about the shell inside RUN, under the codes that
// people know from ShellCheck: the findings met most often, on a syntax tree of
// mvdan.cc/sh, in our own words.
//
// What a script may take for granted is known here: ARG and ENV are set and have
// no blanks in them as far as anybody can tell, and SHELL says which shell reads
// it. Exec forms, PowerShell and cmd are left alone.
//
// Source: https://www.shellcheck.net/wiki/, for what each code is about.
package script
