package dockerfile

import "strings"

// A File is a parsed Dockerfile.
type File struct {
	Name         string // as findings call it
	Lines        []string
	Escape       byte // the escape character: \ unless a directive says `
	Instructions []*Instruction
	Stages       []*Stage // the first is nameless and has no From if something stands before FROM
	Comments     []Comment
	// Parser directives of the file's head, by lower-case name: syntax, escape, check.
	Directives map[string]Text
	// EmptyContinuations are blank lines within continued instructions.
	EmptyContinuations []Range

	head int // lines of directives
}

// A Comment is a line that begins with #.
type Comment struct {
	Text   Text // without # and the white space around it
	Before *Instruction
	// Inside is set for a comment between the lines of Before.
	Inside bool
}

// A Stage is what begins with a FROM and ends before the next.
type Stage struct {
	Index        int // among the stages with a FROM, from 0; -1 for what stands before the first
	From         *Instruction
	Image        Text   // the base, as written
	Name         string // after AS, as written; empty if there is none
	Platform     string // of --platform
	Base         *Stage // if Image is the name of an earlier stage
	Instructions []*Instruction
}

// Stage finds a stage by name (in any case) or number, among those before limit.
func (f *File) Stage(name string, limit *Stage) *Stage {
	for i := len(f.Stages) - 1; i >= 0; i-- {
		s := f.Stages[i]
		if limit != nil && s.Index >= limit.Index || s.Index < 0 {
			continue
		}
		if s.Name != "" && strings.EqualFold(s.Name, name) {
			return s
		}
	}
	return nil
}

// An Instruction is one instruction with its arguments.
type Instruction struct {
	Name     string // in upper case
	Keyword  Text
	Range    Range // from the keyword to the last byte, heredocs included
	Flags    []Flag
	Args     Text     // what follows the flags
	Exec     []string // the JSON form; nil otherwise
	IsExec   bool
	Heredocs []Heredoc
	Inner    *Instruction // of ONBUILD; of HEALTHCHECK CMD the CMD
	Outer    *Instruction // the ONBUILD around it
	Stage    *Stage
	Comments []Comment // the comment lines directly above
	Err      error     // what the builder has against it

	escape byte
}

// A Flag is --name=value in front of the arguments.
type Flag struct {
	Name  string // without dashes
	Value string
	Text  Text
}

// A Heredoc is a document that follows an instruction.
type Heredoc struct {
	Name    string
	Expand  bool // variables are replaced in it
	Content Text
	Word    Text // <<NAME in the instruction
}

// Flag is the value of a flag, of the last one if it is repeated.
func (in *Instruction) Flag(name string) (string, bool) {
	for i := len(in.Flags) - 1; i >= 0; i-- {
		if in.Flags[i].Name == name {
			return in.Flags[i].Value, true
		}
	}
	return "", false
}

// Top is the instruction that stands in the file: the ONBUILD of an inner one.
func (in *Instruction) Top() *Instruction {
	if in.Outer != nil {
		return in.Outer
	}
	return in
}

// Fields are the arguments between white space.
func (in *Instruction) Fields() []Text { return in.Args.Fields() }

// Pairs are the names and values of ARG, ENV and LABEL.
func (in *Instruction) Pairs() []Pair { return pairs(in) }

// A Pair is one setting.
type Pair struct {
	Key   string
	Value string // without quotes
	Has   bool   // there was a value: ARG may have none
	Old   bool   // written without =, as in ENV key value
	Raw   Text   // the value as written
	Name  Text   // the key as written
	Text  Text   // all of it
}
