package history

import (
	"fmt"
	"strings"
)

// A Kind is a kind of reason for a step to run.
type Kind string

// The kinds of causes.
const (
	CauseFile        Kind = "file"        // a file that the step reads
	CauseArgument    Kind = "argument"    // a --build-arg
	CauseVariable    Kind = "variable"    // an ENV or ARG of the Dockerfile or the base image
	CauseInstruction Kind = "instruction" // the text of the instruction
	CauseSetting     Kind = "setting"     // user, directory, mounts, network and the like
	CauseBase        Kind = "base"        // the base image
	CauseParent      Kind = "parent"      // another step's result, for a cause of its own
	CauseRemote      Kind = "remote"      // what a URL or git repository has
	CauseNoCache     Kind = "no-cache"    // the user asked for it
	CauseNew         Kind = "new"         // the instruction was not there before
	CauseRemoved     Kind = "removed"     // an instruction before it is gone
	CauseFailed      Kind = "failed"      // it did not succeed before
	CauseUnstable    Kind = "unstable"    // files changed while it ran, so it was not remembered
	CauseNoRecord    Kind = "no-record"   // same as before, but the cache does not have it any more
	CauseFirst       Kind = "first"       // no earlier build is recorded
)

// A Cause is one reason for a step to run.
type Cause struct {
	Kind Kind
	// What is the path, the variable, the image or the setting; From and To are
	// its values, "" where there is none or it is not to be shown.
	What, From, To string
	// Files are all files that differ, for CauseFile.
	Files []FileChange `json:",omitempty"`
	// Step is the step whose result differs and Because why, for CauseParent and
	// for a file that another step made.
	Step    *Step  `json:"-"`
	Because *Cause `json:",omitempty"`
}

// String says it in one line: the cause, and the one at the beginning of those
// that led to it.
func (c *Cause) String() string {
	if c == nil {
		return "nothing that is recorded differs"
	}
	s := c.words()
	if c.Because == nil {
		return s
	}
	if c.Kind == CauseFile {
		s += ", made by " + c.Step.Title()
	}
	at, root := c.Root()
	if at == c.Step {
		return s + ": " + root.words()
	}
	return fmt.Sprintf("%s; it began with %s: %s", s, at.Title(), root.words())
}

// kind is that of the cause at the beginning; "" for nil.
func (c *Cause) kind() Kind {
	if c == nil {
		return ""
	}
	_, root := c.Root()
	return root.Kind
}

// Root is the cause at the beginning, and the step that it is of; nil for that
// which c itself is of.
func (c *Cause) Root() (*Step, *Cause) {
	var at *Step
	for c.Because != nil {
		at, c = c.Step, c.Because
	}
	return at, c
}

// words is the cause itself, without what is behind it.
func (c *Cause) words() string {
	switch c.Kind {
	case CauseFile:
		if n := len(c.Files); n > 1 {
			return fmt.Sprintf("file %s: %s, and %s", c.What, c.To, count(n-1, "more file"))
		}
		return fmt.Sprintf("file %s: %s", c.What, c.To)
	case CauseArgument:
		return "build argument " + c.change()
	case CauseVariable:
		return "variable " + c.change()
	case CauseInstruction:
		return fmt.Sprintf("the instruction changed from %s to %s", quote(c.From), quote(c.To))
	case CauseSetting:
		return c.change()
	case CauseBase:
		return "base image " + c.change()
	case CauseParent:
		if c.From != "" {
			return fmt.Sprintf("it stands on %s now, before on %s", c.Step.Title(), c.From)
		}
		return "it stands on " + c.Step.Title()
	case CauseRemote:
		return fmt.Sprintf("%s has other content than before", c.What)
	case CauseNoCache:
		return "--no-cache"
	case CauseNew:
		return "the instruction is new"
	case CauseRemoved:
		return fmt.Sprintf("the step before it, %s, is not there any more", quote(c.What))
	case CauseFailed:
		return fmt.Sprintf("it %s in build %s", c.To, c.What)
	case CauseUnstable:
		return fmt.Sprintf("files changed while it ran in build %s, so its result was not remembered", c.What)
	case CauseNoRecord:
		return fmt.Sprintf("everything is as in build %s, but its result is not in the cache any more (pruned)", c.What)
	}
	return "no earlier build of this target is recorded"
}

// change is "NAME: was x, is y".
func (c *Cause) change() string {
	switch {
	case c.From == "" && c.To == "":
		return c.What + " changed"
	case c.From == "":
		return fmt.Sprintf("%s was added: %s", c.What, c.To)
	case c.To == "":
		return fmt.Sprintf("%s was removed: it was %s", c.What, c.From)
	}
	return fmt.Sprintf("%s changed from %s to %s", c.What, c.From, c.To)
}

// Title names a step in a sentence or a line.
func (s *Step) Title() string {
	if s == nil {
		return "another step"
	}
	return cut(strings.Join(strings.Fields(s.Name), " "))
}

func quote(s string) string {
	return fmt.Sprintf("%q", cut(strings.Join(strings.Fields(s), " ")))
}

// cut keeps a line readable.
func cut(s string) string {
	const most = 120
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
