package lint

import (
	"slices"
	"strings"

	"github.com/mica-build/mica/lint/dockerfile"
)

// Fix mends what its findings say can be mended, and gives the new file and how
// many findings that were. Each edit is tried: one after which the file no longer
// parses, or has other instructions than before, or still has the finding, is left
// out.
func (l *Linter) Fix(input Input) (raw []byte, fixed int) {
	raw = input.Raw
	given := map[string]int{}
	for _, f := range l.Run(input) {
		if len(f.Fix) > 0 {
			given[f.Code]++
		}
	}
	skip := 0
	for range 1000 { // each round mends one, so that places stay true
		now := input
		now.Raw = raw
		f := nth(l.Run(now), skip)
		if f == nil {
			return raw, fixed
		}
		next := apply(raw, f.Fix)
		if !l.better(now, next, f.Code) {
			skip++
			continue
		}
		raw = next
		fixed++
	}
	return raw, fixed
}

// nth is the finding that can be mended after n others.
func nth(findings []Finding, n int) *Finding {
	for i := range findings {
		if len(findings[i].Fix) == 0 {
			continue
		}
		if n == 0 {
			return &findings[i]
		}
		n--
	}
	return nil
}

// better says whether next has one finding of the code less than before, and is
// the same file otherwise.
func (l *Linter) better(before Input, next []byte, code string) bool {
	old, err1 := dockerfile.Parse(before.Name, before.Raw)
	now, err2 := dockerfile.Parse(before.Name, next)
	if err1 != nil || err2 != nil || len(old.Instructions) != len(now.Instructions) {
		return false
	}
	for i, in := range now.Instructions {
		if in.Err != nil && old.Instructions[i].Err == nil {
			return false
		}
	}
	count := func(input Input) int {
		n := 0
		for _, f := range l.Run(input) {
			if f.Code == code {
				n++
			}
		}
		return n
	}
	after := before
	after.Raw = next
	return count(after) < count(before)
}

// apply makes edits, which do not overlap.
func apply(raw []byte, edits []Edit) []byte {
	lines := strings.SplitAfter(string(raw), "\n")
	start := make([]int, len(lines)+1)
	for i, line := range lines {
		start[i+1] = start[i] + len(line)
	}
	bom := 0
	if strings.HasPrefix(lines[0], "\xef\xbb\xbf") {
		bom = 3
	}
	at := func(p dockerfile.Pos) int {
		off := start[min(p.Line-1, len(lines))] + p.Column - 1
		if p.Line == 1 {
			off += bom
		}
		return min(off, len(raw))
	}
	sorted := slices.Clone(edits)
	slices.SortFunc(sorted, func(a, b Edit) int { return at(b.Range.Start) - at(a.Range.Start) })
	out := string(raw)
	for _, e := range sorted {
		out = out[:at(e.Range.Start)] + e.Text + out[at(e.Range.End):]
	}
	return []byte(out)
}
