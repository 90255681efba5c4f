package lint

import (
	"strings"

	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

// A Source is a file and the scripts in it, parsed once for all rules.
type Source struct {
	*dockerfile.File
	Ignore  []string // see Input
	Images  func(name string) (Image, bool)
	check   directive
	scripts map[*dockerfile.Instruction][]*shell.Script
	shells  map[*dockerfile.Instruction]string
	pragmas []pragma
}

func newSource(f *dockerfile.File) *Source {
	s := &Source{File: f, scripts: map[*dockerfile.Instruction][]*shell.Script{}, shells: map[*dockerfile.Instruction]string{}}
	s.pragmas = pragmas(f)
	s.check = parseDirective(f.Directives["check"].String())
	for _, in := range f.Instructions {
		if in.Name == "ONBUILD" && in.Inner != nil {
			in = in.Inner
		}
		if in.Name == "RUN" {
			s.scripts[in] = scriptsOf(in)
		}
	}
	s.findShells()
	return s
}

// Scripts are what a RUN hands to a shell: its arguments, or its heredocs.
func (s *Source) Scripts(in *dockerfile.Instruction) []*shell.Script { return s.scripts[in] }

func scriptsOf(in *dockerfile.Instruction) []*shell.Script {
	if in.IsExec {
		return execScripts(in)
	}
	if len(in.Heredocs) == 0 {
		return []*shell.Script{shell.Parse(in.Args)}
	}
	var out []*shell.Script
	words := in.Fields()
	if len(words) == len(in.Heredocs) && strings.HasPrefix(strings.TrimLeft(words[0].String(), "0123456789"), "<<") {
		for _, h := range in.Heredocs {
			if readByShell(h.Content.String()) {
				out = append(out, shell.Parse(h.Content))
			}
		}
		return out
	}
	// The script itself has the heredocs: its first line, and what feeds a shell.
	out = append(out, shell.Parse(withoutHeredocs(in)))
	if len(words) > 0 && isShell(words[0].String()) {
		for _, h := range in.Heredocs {
			out = append(out, shell.Parse(h.Content))
		}
	}
	return out
}

// withoutHeredocs is the first line of a RUN up to its first heredoc word.
func withoutHeredocs(in *dockerfile.Instruction) dockerfile.Text {
	if i := strings.Index(in.Args.String(), "<<"); i >= 0 {
		return in.Args.Slice(0, i)
	}
	return in.Args
}

// readByShell says whether a heredoc without a command is a shell's to run: it
// is unless its first line names another interpreter.
func readByShell(content string) bool {
	line, ok := strings.CutPrefix(content, "#!")
	if !ok {
		return true
	}
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(line)
	if len(words) > 1 && strings.HasSuffix(words[0], "/env") {
		words = words[1:]
	}
	return len(words) > 0 && isShell(words[0])
}

func isShell(program string) bool {
	switch program[strings.LastIndexByte(program, '/')+1:] {
	case "sh", "bash", "ash", "dash", "ksh", "zsh":
		return true
	}
	return false
}

// execScripts is the one command of an exec form; what follows sh -c is a script.
func execScripts(in *dockerfile.Instruction) []*shell.Script {
	out := []*shell.Script{shell.Words(in.Args, in.Exec)}
	if len(in.Exec) >= 3 && isShell(in.Exec[0]) && strings.HasPrefix(in.Exec[1], "-") && strings.HasSuffix(in.Exec[1], "c") {
		if i := strings.Index(in.Args.String(), in.Exec[2]); i >= 0 && in.Exec[2] != "" {
			s := shell.Parse(in.Args.Slice(i, i+len(in.Exec[2])))
			s.Exec = true
			return []*shell.Script{s}
		}
	}
	return out
}

// defaultShell is what runs a shell form where nothing says otherwise.
const defaultShell = "/bin/sh -c"

// findShells notes the shell of each RUN: SHELL, the base's if that is a stage
// of the file, or what a pragma says.
func (s *Source) findShells() {
	last := map[*dockerfile.Stage]string{}
	for _, st := range s.Stages {
		now := defaultShell
		if st.Base != nil {
			now = last[st.Base]
		}
		for _, in := range st.Instructions {
			for _, p := range s.pragmas {
				if p.shell != "" && p.before == in {
					now = p.shell
				}
			}
			if in.Name == "SHELL" {
				now = strings.Join(in.Exec, " ")
			}
			s.shells[in] = now
			if in.Inner != nil {
				s.shells[in.Inner] = now
			}
		}
		last[st] = now
	}
}

// Shell is the shell, with its options, that runs a RUN in shell form.
func (s *Source) Shell(in *dockerfile.Instruction) string { return s.shells[in] }
