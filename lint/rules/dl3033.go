package rules

import (
	"slices"
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

var dl3033 = lint.Rule{
	Code: "DL3033", Level: lint.Warning, Title: "yum installs a package of any version",
	Check: onRPMs("yum installs %s in whatever version there is that day; say %s-VERSION", "yum"),
}

// onRPMs finds packages and modules without version in calls of a program that
// installs RPMs.
func onRPMs(message string, programs ...string) func(*lint.Pass) {
	return onRuns(message, func(p *lint.Pass, in *dockerfile.Instruction, s *shell.Script) *offence {
		for _, c := range s.Commands {
			if !c.Is(programs...) || !c.Has("install") || c.Has("group") {
				continue
			}
			pinned := rpmPinned
			if c.Has("module") {
				pinned = func(s string) bool { return strings.Contains(s, ":") }
			}
			for _, a := range without(c.Operands("c", "config", "enablerepo", "disablerepo", "repo", "installroot", "releasever", "setopt", "x", "exclude"), "install", "module") {
				if !pinned(a.Text) && !pinned(resolve(p, in, a.Text)) && !isSet(p, in, a.Text) {
					return &offence{at: a.Range, what: a.Text}
				}
			}
		}
		return nil
	})
}

// rpmPinned says whether a package name has a version: a part behind a hyphen
// that begins with a digit, and none that cannot be of a version.
func rpmPinned(s string) bool {
	if strings.HasSuffix(s, ".rpm") {
		return true
	}
	parts := strings.Split(s, "-")[1:]
	odd := slices.ContainsFunc(parts, func(p string) bool {
		return strings.Trim(p, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.~^_:+*") != ""
	})
	return !odd && slices.ContainsFunc(parts, func(p string) bool { return p != "" && p[0] >= '0' && p[0] <= '9' })
}

// isSet says whether a word has a variable that the stage sets, to whatever.
func isSet(p *lint.Pass, in *dockerfile.Instruction, word string) bool {
	if !strings.Contains(word, "${") || !strings.Contains(word, "-") {
		return false
	}
	for _, name := range declared(p, in) {
		if strings.Contains(word, "${"+name+"}") {
			return true
		}
	}
	return false
}

// declared are the names of ARGs and ENVs that an instruction sees, with or
// without a value.
func declared(p *lint.Pass, in *dockerfile.Instruction) []string {
	var out []string
	for s := in.Stage; s != nil; s = s.Base {
		for _, i := range s.Instructions {
			if i == in.Top() {
				break
			}
			if i.Name == "ARG" || i.Name == "ENV" {
				for _, kv := range i.Pairs() {
					out = append(out, kv.Key)
				}
			}
		}
	}
	for _, g := range p.Globals() {
		for _, kv := range g.Pairs() {
			out = append(out, kv.Key)
		}
	}
	return out
}
