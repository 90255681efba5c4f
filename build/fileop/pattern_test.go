package fileop

import (
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/moby/patternmatcher"
)

// patternLists and patternPaths are tried with each other, and seed the fuzzer.
var (
	patternLists = []string{
		"a", "*", "**", "a/*", "a/**", "**/a", "**/*.go", "a/**/b", "a**", "**a", "***", "a***", "**/a/**", "?", "[ab]", "[^a]", "[a-c]/*",
		"*\n!a", "a\n!a/b", "a\n!a/b\na/b/c", "!a\na", "**\n!**/b", "*.go\n!**/x.go", "a/b\n!a", `\*`, `a\b`, `\[a]`, "a+b", "a.b", "a(b)*", "a|b*",
		"x{2}*", "{a,b}*", "^a", "^a*", "a$*", "/a", "./a", "a/", "../a", "a//b", " a ", "é*", "日本/**", "a/b/", "*/", "**/", ".", "..", "!*\na", "a\n!a\na", "**/*/c", "*/**",
		"[[]", "[*]", "[?]a", "[a/b]c", "**/.git", ".*", "!", "[", `a\`, "**b/*", "a**b", "a/***/c",
	}
	patternPaths = []string{
		"a", "b", "a/b", "a/b/c", "b/a", "b/c/a", "x.go", "a/x.go", "a/b/x.go", "a*", "*", "ab", "a/b/c/d", "xa", "a+b", "a.b", "axb", "a(b)", "a|b", "xx1",
		"{a,b}", "^a", "a$", "é", "日本/語", "日本", ".git", "c/.git/d", ".", "..a", "[a]", "[", "a\nb", "a/b/c/a/b", "bb/x", "a/xb", "a b",
	}
)

// oracle is patternmatcher's answer for name.
func oracle(texts []string, name string) (bool, error) {
	m, err := patternmatcher.New(texts)
	if err != nil {
		return false, err
	}
	return m.MatchesOrParentMatches(name)
}

// oracleWalk is its answer when it walks down to name.
func oracleWalk(texts []string, name string) (bool, error) {
	m, err := patternmatcher.New(texts)
	if err != nil {
		return false, err
	}
	var info patternmatcher.MatchInfo
	matched := false
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '/' {
			if matched, info, err = m.MatchesUsingParentResults(name[:i], info); err != nil {
				return false, err
			}
		}
	}
	return matched, nil
}

// comparePatterns matches name with our patterns and with patternmatcher, and
// checks that a directory on the way that says nothing can match below it is right.
func comparePatterns(t *testing.T, texts []string, name string) {
	t.Helper()
	want, wantErr := oracleWalk(texts, name)
	p, err := newPatterns(texts)
	if err != nil {
		// patternmatcher compiles what it needs only, so it may miss a bad pattern.
		if wantErr == nil && !strings.Contains(err.Error(), "regexp") {
			t.Errorf("%q: %v, patternmatcher takes it", texts, err)
		}
		return
	}
	if wantErr != nil {
		t.Errorf("%q: accepted, patternmatcher says %v", texts, wantErr)
		return
	}
	got, _ := p.chain(name)
	if got != want {
		t.Errorf("%q matches %q: %v, patternmatcher says %v", texts, name, got, want)
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		matched, _ := p.chain(dir)
		if matched != got && !p.below(dir, matched) {
			t.Errorf("%q: %q is %v and %q %v, but below says that cannot be", texts, dir, matched, name, got)
		}
	}
}

func TestPatternsLikePatternmatcher(t *testing.T) {
	for _, l := range patternLists {
		for _, name := range patternPaths {
			comparePatterns(t, strings.Split(l, "\n"), name)
		}
	}
}

// The walk and the direct question agree in the oracle too, where they should.
func TestPatternsDirect(t *testing.T) {
	for _, texts := range [][]string{{"a"}, {"**/*.go"}, {"a", "!a/b"}, {"*", "!x.go"}} {
		p, err := newPatterns(texts)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range patternPaths {
			want, err := oracle(texts, name)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := p.chain(name); got != want {
				t.Errorf("%q matches %q: %v, want %v", texts, name, got, want)
			}
		}
	}
}

func TestPatternsPrune(t *testing.T) {
	for _, c := range []struct {
		texts    string
		dir      string
		inverted bool
		want     bool
	}{
		{"node_modules", "node_modules", true, false},
		{"*\n!src", "node_modules", true, false},
		{"*\n!src/main", "src", true, true},
		{"*\n!src/main", "src/main/go", true, true},
		{"*\n!src/main", "src/other", true, false},
		{"*\n!**/*.go", "any/where", true, true},
		{"*\n!src/*/x", "src/a", true, true},
		{"*\n!src/*/x", "srcs", true, false},
		{"a/b/c.txt", "a", false, true},
		{"a/b/c.txt", "z", false, false},
		{"a/*.txt", "a/b", false, true},
		{"*.txt", "a", false, true},
	} {
		p, err := newPatterns(strings.Split(c.texts, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.below(c.dir, c.inverted); got != c.want {
			t.Errorf("%q below %q: %v, want %v", c.texts, c.dir, got, c.want)
		}
	}
}

func FuzzPatterns(f *testing.F) {
	for i, l := range patternLists {
		f.Add(l, patternPaths[i%len(patternPaths)])
	}
	f.Fuzz(func(t *testing.T, list, name string) {
		if !utf8.ValidString(list) || strings.ContainsAny(list, "\ufeff\ufffd\x00") || len(list) > 100 {
			return // patternmatcher's scanner changes these
		}
		if name = path.Clean(name); name == "." || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "..") || strings.Contains(name, "\x00") {
			return
		}
		comparePatterns(t, strings.Split(list, "\n"), name)
	})
}
