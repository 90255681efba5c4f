package script

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2016 = rule("SC2016", lint.Info, "an expansion in single quotes", func(v *view) {
	each(v, func(i int, n *syntax.SglQuoted) {
		if n.Dollar || !expansion().MatchString(n.Value) || v.forOthers(i, n.Value) {
			return
		}
		v.report(n, "nothing is expanded in single quotes; if it should be, use double quotes")
	})
})

var expansion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("\\$[{(0-9a-zA-Z_]|`[^`]+`") })

// ownDollars are programs to which a dollar means something of their own.
var ownDollars = []string{
	"alias", "awk", "bash", "dash", "docker", "doas", "dpkg-query", "eval", "find", "gawk", "git", "jq", "ksh", "mawk", "nawk",
	"perl", "podman", "rename", "rg", "run0", "sh", "ssh", "su", "sudo", "trap", "unset", "xargs", "xprop", "zsh", "envsubst",
}

// forOthers says whether the text is for a program that has its own dollars.
func (v *view) forOthers(i int, text string) bool {
	yes := false
	v.Up(i, func(_ int, n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Assign:
			yes = n.Name != nil && n.Name.Value == "PS1"
			return false
		case *syntax.CallExpr:
			name := v.name(n)
			yes = slices.Contains(ownDollars, name[strings.LastIndexByte(name, '/')+1:]) ||
				name == "sed" && !strings.Contains(text, "${") && !strings.Contains(text, "$(") && sedDollar().MatchString(text)
			return false
		case *syntax.Word, *syntax.DblQuoted:
			return true
		}
		return false
	})
	return yes
}

// sedDollar is $ as the last line or the end of one.
var sedDollar = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\$[{dpsaic!/|,]|\$[a-z]\\`) })
