package fileop

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/moby/patternmatcher"

	"github.com/mica-build/mica/errs"
)

// patterns match paths in the language of .dockerignore, --exclude and
// --parents: filepath.Match with **, where the last pattern that says something
// about a path or one of its parents wins, and ! inverts.
//
// The parser is patternmatcher's. Matching is our own, with the same answers:
// patternmatcher compiles while it matches and so has to be locked, and tries a
// regular expression where most paths fall to a look at their last letters.
// A nil *patterns has no patterns.
type patterns struct {
	list    []pattern
	inverts bool
}

// hits say for a directory which patterns match it or a parent of it.
type hits []bool

func newPatterns(texts []string) (*patterns, error) {
	m, err := patternmatcher.New(texts)
	if err != nil {
		return nil, fmt.Errorf("patterns %q: %w: %w", texts, errs.ErrInvalid, err)
	}
	if len(m.Patterns()) == 0 {
		return nil, nil
	}
	p := &patterns{inverts: m.Exclusions()}
	for _, t := range m.Patterns() {
		c, err := compilePattern(t.String())
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w: %w", t.String(), errs.ErrInvalid, err)
		}
		c.invert = t.Exclusion()
		p.list = append(p.list, c)
	}
	return p, nil
}

// match tells whether path is matched, given the hits of its parent directory
// (nil for a path of one component). It notes the path's own hits in own,
// unless that is nil.
func (p *patterns) match(path string, parent, own hits) bool {
	if p == nil {
		return false
	}
	matched := false
	for i := range p.list {
		t := &p.list[i]
		hit := parent != nil && parent[i]
		if !hit {
			if t.invert != matched {
				continue // cannot change anything
			}
			hit = t.match(path)
		}
		if own != nil {
			own[i] = hit
		}
		if hit {
			matched = !t.invert
		}
	}
	return matched
}

// newHits makes room for the hits of a directory.
func (p *patterns) newHits() hits {
	if p == nil {
		return nil
	}
	return make(hits, len(p.list))
}

// chain matches path from its first component down.
func (p *patterns) chain(path string) (matched bool, own hits) {
	if p == nil || path == "" {
		return false, nil
	}
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		parent := own
		own = p.newHits()
		matched = p.match(path[:i], parent, own)
	}
	return matched, own
}

// below tells whether a pattern, inverted or not as asked, could match
// something below dir that it does not match through dir itself.
func (p *patterns) below(dir string, inverted bool) bool {
	if p == nil || inverted && !p.inverts {
		return false
	}
	for i := range p.list {
		if t := &p.list[i]; t.invert == inverted && t.mayLead(dir) {
			return true
		}
	}
	return false
}

// pattern is one compiled pattern. What its kind asks is in text; regexps have
// a literal head and tail that a path must have before they are tried.
type pattern struct {
	invert     bool
	kind       patternKind
	text       string
	head, tail string
	re         *regexp.Regexp
	lead       string // the leading directories that are literal, with a slash
}

type patternKind uint8

const (
	exactly patternKind = iota
	prefixed
	suffixed
	expression
)

func (t *pattern) match(path string) bool {
	switch t.kind {
	case exactly:
		return path == t.text
	case prefixed:
		return strings.HasPrefix(path, t.text)
	case suffixed:
		return strings.HasSuffix(path, t.text) || strings.HasPrefix(t.text, "/") && path == t.text[1:]
	default:
		return strings.HasPrefix(path, t.head) && strings.HasSuffix(path, t.tail) && t.re.MatchString(path)
	}
}

// mayLead tells whether t could match something below dir.
func (t *pattern) mayLead(dir string) bool {
	dir += "/"
	return strings.HasPrefix(dir, t.lead) || strings.HasPrefix(t.lead, dir)
}

// wild are the characters that are not themselves in a pattern.
const wild = `*?[]\^`

func compilePattern(text string) (pattern, error) {
	t := pattern{text: text}
	first := strings.IndexAny(text, wild)
	if first < 0 || !strings.ContainsAny(text, `*?[]\`) {
		t.lead = text + "/"
		return t, nil
	}
	t.lead = text[:strings.LastIndexByte(text[:first], '/')+1]
	switch {
	case strings.HasPrefix(text, "**") && !strings.ContainsAny(text[2:], `*?[]\`):
		t.kind, t.text = suffixed, text[2:]
		return t, nil
	case strings.HasSuffix(text, "**") && !strings.ContainsAny(text[:len(text)-2], `*?[]\`):
		t.kind, t.text = prefixed, text[:len(text)-2]
		return t, nil
	}
	t.kind = expression
	if strings.ContainsAny(text, `|{}\`) {
		t.lead = "" // these keep a meaning of their own in the expression
	} else {
		t.head = text[:first]
		t.tail = strings.TrimPrefix(text[strings.LastIndexAny(text, wild)+1:], "/")
	}
	var err error
	t.re, err = regexp.Compile(translate(text))
	return t, err
}

// translate writes a pattern as a regular expression. Its oddities are those
// of patternmatcher: a class is given to the regular expression as it is,
// except that the wildcards in it are translated too, and so are | { and },
// which then are operators.
func translate(text string) string {
	var b strings.Builder
	b.WriteByte('^')
	runes := []rune(text)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '*' && i+1 < len(runes) && runes[i+1] == '*':
			i++
			if i+1 < len(runes) && runes[i+1] == '/' {
				i++
			}
			if i+1 == len(runes) {
				b.WriteString(".*")
			} else {
				b.WriteString("(.*/)?")
			}
		case r == '*':
			b.WriteString("[^/]*")
		case r == '?':
			b.WriteString("[^/]")
		case strings.ContainsRune(".+()$", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\\' && i+1 < len(runes):
			i++
			b.WriteByte('\\')
			b.WriteRune(runes[i])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('$')
	return b.String()
}
