package dockerfile

import "strings"

// pairs reads the settings of ARG, ENV and LABEL as the builder does: if the
// first word has no =, ENV and LABEL have one name and take the rest as value.
func pairs(in *Instruction) []Pair {
	words := in.Args.Words(in.escape)
	if len(words) == 0 {
		return nil
	}
	if in.Name != "ARG" && !strings.Contains(words[0].String(), "=") {
		return oldPair(in, words)
	}
	out := make([]Pair, 0, len(words))
	for _, w := range words {
		p := Pair{Text: w, Name: w}
		key, _, has := strings.Cut(w.String(), "=")
		p.Key, p.Has = key, has
		if has {
			p.Name = w.Slice(0, len(key))
			p.Raw = w.Slice(len(key)+1, w.Len())
			p.Value = p.Raw.Unquote(in.escape)
		}
		p.Key = p.Name.Unquote(in.escape)
		out = append(out, p)
	}
	return out
}

func oldPair(in *Instruction, words []Text) []Pair {
	name := words[0]
	p := Pair{Key: name.Unquote(in.escape), Name: name, Text: in.Args, Old: true}
	if len(words) > 1 {
		rest := in.Args.Slice(words[1].base-in.Args.base, in.Args.Len()).Trim()
		p.Raw, p.Has, p.Value = rest, true, rest.Unquote(in.escape)
	}
	return []Pair{p}
}
