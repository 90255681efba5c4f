package dockerfile

import "strings"

// stage puts in into the stage it belongs to; FROM begins one.
func (f *File) stage(in *Instruction) {
	if in.Name == "FROM" {
		f.Stages = append(f.Stages, f.from(in))
	}
	if len(f.Stages) == 0 {
		f.Stages = append(f.Stages, &Stage{Index: -1})
	}
	s := f.Stages[len(f.Stages)-1]
	in.Stage = s
	if in.Inner != nil {
		in.Inner.Stage = s
	}
	s.Instructions = append(s.Instructions, in)
}

// from reads FROM [--platform=P] IMAGE [AS NAME].
func (f *File) from(in *Instruction) *Stage {
	s := &Stage{From: in}
	for _, other := range f.Stages {
		if other.From != nil {
			s.Index = other.Index + 1
		}
	}
	s.Platform, _ = in.Flag("platform")
	words := in.Fields()
	if len(words) > 0 {
		s.Image = words[0]
		s.Base = f.Stage(s.Image.String(), s)
	}
	if len(words) >= 3 && strings.EqualFold(words[1].String(), "as") {
		s.Name = words[2].String()
	}
	return s
}

// Globals are the ARGs in front of the first FROM.
func (f *File) Globals() []*Instruction {
	var out []*Instruction
	for _, in := range f.Instructions {
		if in.Name == "FROM" {
			break
		}
		if in.Name == "ARG" {
			out = append(out, in)
		}
	}
	return out
}
