package rules

import (
	"slices"
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

// An offence is what a rule about RUN has found in a script.
type offence struct {
	at   dockerfile.Range
	what string // the word in question; empty if the command is
	fix  []lint.Edit
}

// onRuns makes a Check that reports, for each script of a RUN, the first offence.
// A %s in the message is the word.
func onRuns(message string, find func(*lint.Pass, *dockerfile.Instruction, *shell.Script) *offence) func(*lint.Pass) {
	return func(p *lint.Pass) {
		p.Runs(func(in *dockerfile.Instruction, s *shell.Script) {
			if o := find(p, in, s); o != nil {
				if s.Exec {
					o.fix = nil // the words of a JSON list have other places
				}
				p.Suggest(o.at, o.fix, "%s", strings.ReplaceAll(message, "%s", o.what))
			}
		})
	}
}

// onCommands is onRuns for what can be told from one command alone. What mends it
// may be given too.
func onCommands(message string, bad func(*shell.Command) bool, mend ...func(*shell.Command) []lint.Edit) func(*lint.Pass) {
	return onRuns(message, func(_ *lint.Pass, _ *dockerfile.Instruction, s *shell.Script) *offence {
		c := s.First(bad)
		if c == nil {
			return nil
		}
		o := &offence{at: c.Range, what: c.Name}
		for _, m := range mend {
			o.fix = m(c)
		}
		return o
	})
}

// addFlag mends a command by a flag behind one of its words.
func addFlag(word, flag string) func(*shell.Command) []lint.Edit {
	return func(c *shell.Command) []lint.Edit {
		for _, a := range c.Args {
			if a.Text == word {
				end := dockerfile.Range{Start: a.Range.End, End: a.Range.End}
				return []lint.Edit{{Range: end, Text: " " + flag}}
			}
		}
		return nil
	}
}

// onPackages is onRuns for packages that a command names and that are not pinned.
// What the file itself sets is put in for variables first.
func onPackages(message string, named func(*shell.Command) []shell.Arg, pinned func(string) bool) func(*lint.Pass) {
	return onRuns(message, func(p *lint.Pass, in *dockerfile.Instruction, s *shell.Script) *offence {
		for _, c := range s.Commands {
			for _, a := range named(c) {
				if !pinned(a.Text) && !pinned(resolve(p, in, a.Text)) {
					return &offence{at: a.Range, what: a.Text}
				}
			}
		}
		return nil
	})
}

// resolve puts the values of ARG and ENV that stand before in its stage, or in
// the stages below that, in for ${NAME}.
func resolve(p *lint.Pass, in *dockerfile.Instruction, word string) string {
	if !strings.Contains(word, "${") {
		return word
	}
	for name, value := range variables(p, in) {
		word = strings.ReplaceAll(word, "${"+name+"}", value)
	}
	return word
}

// variables are the ARGs and ENVs with a value that an instruction sees.
func variables(p *lint.Pass, in *dockerfile.Instruction) map[string]string {
	out := map[string]string{}
	var read func(s *dockerfile.Stage, until *dockerfile.Instruction)
	read = func(s *dockerfile.Stage, until *dockerfile.Instruction) {
		if s.Base != nil {
			read(s.Base, nil)
		}
		for _, i := range s.Instructions {
			if i == until {
				return
			}
			if i.Name != "ARG" && i.Name != "ENV" {
				continue
			}
			for _, kv := range i.Pairs() {
				switch {
				case kv.Has:
					out[kv.Key] = kv.Value
				case i.Name == "ARG":
					if v, ok := global(p, kv.Key); ok {
						out[kv.Key] = v
					}
				}
			}
		}
	}
	if in.Stage != nil {
		read(in.Stage, in.Top())
	}
	return out
}

// global is the default of an ARG in front of the first FROM.
func global(p *lint.Pass, name string) (string, bool) {
	for _, g := range p.Globals() {
		for _, kv := range g.Pairs() {
			if kv.Key == name && kv.Has {
				return kv.Value, true
			}
		}
	}
	return "", false
}

// cleanedAfter says whether, if something in the script is an install, a clean
// comes behind the first one.
func cleanedAfter(s *shell.Script, install, clean func(*shell.Command) bool) (missing *shell.Command) {
	i := s.Index(install)
	if i < 0 {
		return nil
	}
	for _, c := range s.Commands[i+1:] {
		if clean(c) {
			return nil
		}
	}
	return s.Commands[i]
}

// keeps says whether a cache or tmpfs mount of the RUN covers the path, of which
// a part may be given.
func keeps(in *dockerfile.Instruction, path string) bool {
	return slices.ContainsFunc(mounts(in), func(m map[string]string) bool {
		return (m["type"] == "cache" || m["type"] == "tmpfs") && strings.Contains(m["target"], path)
	})
}

// mounts are the --mount flags of a RUN, by field.
func mounts(in *dockerfile.Instruction) []map[string]string {
	var out []map[string]string
	for _, f := range in.Flags {
		if f.Name != "mount" {
			continue
		}
		m := map[string]string{"type": "bind"}
		for field := range strings.SplitSeq(f.Value, ",") {
			k, v, _ := strings.Cut(field, "=")
			k = strings.ToLower(strings.TrimSpace(k))
			if k == "dst" || k == "destination" {
				k = "target"
			}
			m[k] = strings.Trim(v, `"'`)
		}
		out = append(out, m)
	}
	return out
}

// matters says whether what an instruction does ends up in an image: its stage is
// the last, or a later stage stands on it, or it is for another build.
func matters(p *lint.Pass, in *dockerfile.Instruction) bool {
	s := in.Stage
	if in.Outer != nil || s == p.Stages[len(p.Stages)-1] {
		return true
	}
	return slices.ContainsFunc(p.Stages, func(o *dockerfile.Stage) bool { return o.Base == s })
}

// unquoted is a word without quotes around it.
func unquoted(t dockerfile.Text) string { return strings.Trim(t.String(), `"'`) }

// hasAny says whether s contains one of the parts.
func hasAny(s string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(s, p) })
}

// endsInAny says whether s ends in one of the suffixes.
func endsInAny(s string, suffixes ...string) bool {
	return slices.ContainsFunc(suffixes, func(x string) bool { return strings.HasSuffix(s, x) })
}

// isArchive says whether a file is one that ADD would unpack, by its name.
func isArchive(name string) bool {
	return endsInAny(name, ".tar", ".Z", ".bz2", ".gz", ".lz", ".lzma", ".tZ", ".tb2", ".tbz", ".tbz2", ".tgz", ".tlz",
		".tpz", ".txz", ".xz", ".zst", ".tzst")
}

// paths are the sources and the destination of COPY and ADD.
func paths(in *dockerfile.Instruction) (sources []string, target string) {
	var all []string
	if in.IsExec {
		all = in.Exec
	} else {
		for _, w := range in.Fields() {
			if !strings.HasPrefix(w.String(), "<<") {
				all = append(all, unquoted(w))
			} else {
				sources = append(sources, w.String())
			}
		}
	}
	if len(all) == 0 {
		return sources, ""
	}
	return append(sources, all[:len(all)-1]...), all[len(all)-1]
}
