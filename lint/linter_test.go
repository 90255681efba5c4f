package lint_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/checks"
	"github.com/mica-build/mica/lint/rules"
	"github.com/mica-build/mica/lint/script"
)

func linter(s lint.Settings) *lint.Linter {
	return &lint.Linter{Rules: slices.Concat(rules.All(), checks.All(), script.All()), Settings: s}
}

// found is what is found, as LINE:COLUMN-LINE:COLUMN CODE.
func found(l *lint.Linter, text string) []string {
	var out []string
	for _, f := range l.Run(lint.Input{Name: "Dockerfile", Raw: []byte(text)}) {
		r := f.Range
		out = append(out, fmt.Sprintf("%d:%d-%d:%d %s", r.Start.Line, r.Start.Column, r.End.Line, r.End.Column, f.Code))
	}
	return out
}

// TestPlaces: findings stand where the word does, across continued lines,
// comments in between, heredocs, tabs and the file's line ends.
func TestPlaces(t *testing.T) {
	only := func(codes ...string) lint.Settings {
		s := lint.Settings{Only: map[string]bool{}}
		for _, c := range codes {
			s.Only[c] = true
		}
		return s
	}
	tests := []struct {
		name, text string
		settings   lint.Settings
		want       []string
	}{
		{"continued", "RUN apt-get install -y \\\n    # why\n\n    a=1 \\\n    bb\n", only("DL3008"), []string{"5:5-5:7 DL3008"}},
		{"heredoc", "RUN <<-EOF\n\tset -e\n\t\tapt-get install -y bb\n\tEOF\n", only("DL3008"), []string{"3:22-3:24 DL3008"}},
		{"crlf", "FROM debian\r\nRUN cd /a\r\n", only("DL3006", "DL3003"), []string{"1:6-1:12 DL3006", "2:5-2:10 DL3003"}},
		{"bom", "\xef\xbb\xbfFROM debian\n", only("DL3006"), []string{"1:6-1:12 DL3006"}},
		{"onbuild", "ONBUILD RUN sudo a\n", only("DL3004"), []string{"1:13-1:19 DL3004"}},
		{"backtick", "# escape=`\nRUN a `\n  sudo b\n", only("DL3004"), nil},
		{"json", `RUN ["sudo", "a"]`, only("DL3004"), []string{"1:5-1:18 DL3004"}},
		{"json of a shell", `RUN ["sh", "-c", "sudo a"]`, only("DL3004"), []string{"1:19-1:25 DL3004"}},
		{"no Dockerfile", "RUN <<EOF\nx\n", lint.Settings{}, []string{"1:1-1:10 DL1000"}},
		{"no instruction", "FROM a:1\nRUNN x\n", only("DL1000"), []string{"2:1-2:5 DL1000"}},
		{"variable", "FROM a:1\nRUN cp $x/b c\n", only("SC2086"), []string{"2:8-2:10 SC2086"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, found(linter(tt.settings), tt.text)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestSilence: comments silence what they say, and nothing else.
func TestSilence(t *testing.T) {
	tests := []struct {
		name, text string
		settings   lint.Settings
		want       []string
	}{
		{"next instruction", "FROM a:1\n# hadolint ignore=DL3003,DL3004 # because\nRUN cd a && sudo b\n", lint.Settings{}, nil},
		{"not the one after", "FROM a:1\n# hadolint ignore=DL3004\nRUN x\nWORKDIR /\nRUN sudo b\n", lint.Settings{}, []string{"DL3004"}},
		{"one line of a RUN", "FROM a:1\nRUN a && \\\n# hadolint ignore=DL3004\n  sudo b\n", lint.Settings{}, nil},
		{"stage", "# hadolint stage ignore=DL3004\nFROM a:1\nRUN sudo a\nFROM b:1\nRUN sudo b\n", lint.Settings{}, []string{"DL3004"}},
		{"global", "# hadolint global ignore=DL3004\nFROM a:1\nRUN sudo a\n", lint.Settings{}, nil},
		{"no code", "FROM a:1\n# hadolint ignore=nothing,DL3004\nRUN sudo b\n", lint.Settings{}, []string{"DL3004"}},
		{"switched off", "FROM a:1\n# hadolint ignore=DL3004\nRUN sudo b\n", lint.Settings{NoPragmas: true}, []string{"DL3004"}},
		{"unused", "FROM a:1\n# hadolint ignore=DL3004\nRUN b\n", lint.Settings{Unused: true}, []string{lint.UnusedCode}},
		{"twin", "FROM a:1\n# hadolint ignore=DL3025\nCMD a\n", lint.Settings{}, nil},
		{"twin in the settings", "FROM a:1\nCMD a\n", lint.Settings{Ignored: map[string]bool{"DL3025": true}}, nil},
		{"directive", "# check=skip=StageNameCasing\nFROM a:1 AS Big\n", lint.Settings{}, nil},
		{"directive for one", "FROM a:1\n# check=skip=MaintainerDeprecated\nMAINTAINER x\n", lint.Settings{}, []string{"DL4000"}},
		{"shell", "FROM a:1\n# hadolint shell=bash\nRUN [[ -f a ]]\n", lint.Settings{}, nil},
		{"level", "FROM a:1\nRUN sudo a\n", lint.Settings{Levels: map[string]lint.Level{"DL3004": lint.Ignore}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range found(linter(tt.settings), tt.text) {
				got = append(got, f[strings.LastIndexByte(f, ' ')+1:])
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestTwins: what has two names is said once, with both.
func TestTwins(t *testing.T) {
	got := linter(lint.Settings{}).Run(lint.Input{Name: "Dockerfile", Raw: []byte("FROM a:1\nCMD a\nCMD b\nWORKDIR c\n")})
	var codes []string
	for _, f := range got {
		codes = append(codes, f.Code+" "+f.Also)
	}
	want := []string{"DL3025 JSONArgsRecommended", "DL4003 MultipleInstructionsDisallowed", "DL3025 JSONArgsRecommended", "DL3000 WorkdirRelativePath"}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestFix: what is mended is mended right, and what is not sure stays.
func TestFix(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"json", "FROM a:1\nCMD app --serve 'a b'\n", "FROM a:1\nCMD [\"app\", \"--serve\", \"a b\"]\n"},
		{"json of a shell's work", "FROM a:1\nCMD app $X\n", "FROM a:1\nCMD app $X\n"},
		{"copy", "from a:1\nadd x /x\n", "from a:1\ncopy x /x\n"},
		{"equals", "FROM a:1\nENV a b c\nLABEL x y\n", "FROM a:1\nENV a=\"b c\"\nLABEL x=y\n"},
		{"case", "FROM a:1 as b\nRUN x && y && z\nrun a && b && c\n", "FROM a:1 AS b\nRUN x && y && z\nRUN a && b && c\n"},
		{"maintainer", "FROM a:1\nMAINTAINER \"me\" <m@x>\n", "FROM a:1\nLABEL org.opencontainers.image.authors=\"me\\\" <m@x>\"\n"},
		{"install", "FROM a:1\nRUN apt-get install x=1\n", "FROM a:1\nRUN apt-get install --no-install-recommends -y x=1\n"},
		{"apk", "FROM a:1\nRUN apk add \\\n  x=1\n", "FROM a:1\nRUN apk add --no-cache \\\n  x=1\n"},
		{"pip", "FROM a:1\nRUN pip install x==1\n", "FROM a:1\nRUN pip install --no-cache-dir x==1\n"},
		{"bom and crlf", "\xef\xbb\xbfFROM a:1 as b\r\n", "\xef\xbb\xbfFROM a:1 AS b\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw, _ := linter(lint.Settings{}).Fix(lint.Input{Name: "Dockerfile", Raw: []byte(tt.text)})
			if diff := cmp.Diff(tt.want, string(raw)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			again, n := linter(lint.Settings{}).Fix(lint.Input{Name: "Dockerfile", Raw: raw})
			if n != 0 || string(again) != string(raw) {
				t.Errorf("a second time changes it again:\n%s", again)
			}
		})
	}
}

// FuzzRun: whatever the file, no rule panics, and every place is in the file.
func FuzzRun(f *testing.F) {
	for _, s := range []string{
		"FROM a\nRUN apt-get install -y $(x) \"$y\" `z` && cd .. | cat <<EOF\n1\nEOF\n", "# escape=`\nFROM a AS b\nCOPY --from=b <<-X <<\"Y\" /\n\tq\n\tX\nY\n",
		"ONBUILD HEALTHCHECK --interval=1s CMD [\"a\"]\nENV a b\nENV c=$a d=\"${c:-1}\"\nLABEL \"a b\"=c\n", "SHELL [\"bash\"]\nRUN [\"sh\",\"-c\",\"a|b\"]\nUSER\n",
		"RUN a=(1 2) ; echo ${a[@]} ${x/y/z} $((1+1)) {a,b} [[ -f x ]]\n", "RUN if true; then\n", "\xef\xbb\xbf# check=skip=all;error=true\nARG A=$A\nFROM $A",
	} {
		f.Add([]byte(s))
	}
	l := linter(lint.Settings{
		Unused: true, Experimental: []string{"all"}, Registries: []string{"x"}, StrictLabels: true,
		Labels: map[string]lint.LabelType{"a": lint.LabelURL, "b": lint.LabelSPDX, "c": lint.LabelEmail, "d": lint.LabelSemver},
	})
	f.Fuzz(func(t *testing.T, raw []byte) {
		lines := strings.Count(string(raw), "\n") + 1
		for _, x := range l.Run(lint.Input{Name: "Dockerfile", Raw: raw, Ignore: []string{"*.x"}}) {
			if s := x.Range.Start; s.Line < 1 || s.Line > lines || s.Column < 1 {
				t.Errorf("%s at %v of %d lines", x.Code, x.Range, lines)
			}
		}
		l.Fix(lint.Input{Name: "Dockerfile", Raw: raw})
	})
}

func BenchmarkRun(b *testing.B) {
	text := strings.Repeat("RUN apt-get update && \\\n    apt-get install -y a b c && \\\n    curl https://x | tar xz && rm -rf \"$y\"\nCOPY a /b\nENV A=1 B=2\n", 8)
	l := linter(lint.Settings{})
	in := lint.Input{Name: "Dockerfile", Raw: []byte("FROM debian:12\n" + text)}
	for b.Loop() {
		l.Run(in)
	}
}
