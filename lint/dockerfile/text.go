package dockerfile

import (
	"sort"
	"strings"
)

// A Pos is a place in a file: line and column, both counted from 1, columns in bytes.
type Pos struct{ Line, Column int }

// A Range is from Start to before End.
type Range struct{ Start, End Pos }

// A piece is a run of bytes that stand on one line of the file.
type piece struct {
	at  int // offset in the text
	pos Pos // of its first byte
}

// Text is a string that knows where in the file its bytes stand. The zero value
// is the empty text, which stands nowhere.
type Text struct {
	s      string
	base   int // offset of s in what the pieces describe
	pieces []piece
}

// String is the text as the builder reads it.
func (t Text) String() string { return t.s }

// Len is the length in bytes.
func (t Text) Len() int { return len(t.s) }

// Slice is the part from byte i to before byte j.
func (t Text) Slice(i, j int) Text { return Text{t.s[i:j], t.base + i, t.pieces} }

// Trim is the text without white space around it.
func (t Text) Trim() Text {
	i := len(t.s) - len(strings.TrimLeft(t.s, blanks))
	return t.Slice(i, i+len(strings.Trim(t.s, blanks)))
}

// Pos is the place of byte i; i may be Len.
func (t Text) Pos(i int) Pos {
	off := t.base + i
	n := sort.Search(len(t.pieces), func(k int) bool { return t.pieces[k].at > off }) - 1
	if n < 0 {
		return Pos{1, 1}
	}
	p := t.pieces[n]
	return Pos{p.pos.Line, p.pos.Column + off - p.at}
}

// Range is the place of the whole text.
func (t Text) Range() Range { return t.RangeOf(0, len(t.s)) }

// RangeOf is the place of bytes i to before j.
func (t Text) RangeOf(i, j int) Range {
	if j <= i {
		return Range{t.Pos(i), t.Pos(i)}
	}
	// The end is behind the last byte, on its line.
	end := t.Pos(j - 1)
	end.Column++
	return Range{t.Pos(i), end}
}

const blanks = " \t\v\f\r\n"

// Fields are the words between white space.
func (t Text) Fields() []Text {
	var out []Text
	for i := 0; i < len(t.s); {
		if strings.IndexByte(blanks, t.s[i]) >= 0 {
			i++
			continue
		}
		j := i
		for j < len(t.s) && strings.IndexByte(blanks, t.s[j]) < 0 {
			j++
		}
		out = append(out, t.Slice(i, j))
		i = j
	}
	return out
}

// Words are the words as ENV and LABEL know them: quotes and escapes keep white
// space together. Quotes stay in the words.
func (t Text) Words(escape byte) []Text {
	var out []Text
	start, quote := -1, byte(0)
	for i := 0; i < len(t.s); i++ {
		c := t.s[i]
		blank := strings.IndexByte(blanks, c) >= 0
		if blank && quote == 0 {
			if start >= 0 {
				out = append(out, t.Slice(start, i))
				start = -1
			}
			continue
		}
		if start < 0 {
			start = i
		}
		switch {
		case c == escape && quote != '\'':
			i++
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		}
	}
	if start >= 0 {
		out = append(out, t.Slice(start, len(t.s)))
	}
	return out
}

// Unquote is the word without its quotes and escapes, variables left as they are.
func (t Text) Unquote(escape byte) string {
	if !strings.ContainsAny(t.s, "\"'"+string(escape)) {
		return t.s
	}
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(t.s); i++ {
		c := t.s[i]
		switch {
		case c == escape && quote != '\'' && i+1 < len(t.s):
			i++
			if quote == '"' && strings.IndexByte("\"$"+string(escape), t.s[i]) < 0 {
				b.WriteByte(c)
			}
			b.WriteByte(t.s[i])
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
