package rules

import (
	"path"
	"slices"
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

var dl3010 = lint.Rule{
	Code: "DL3010", Level: lint.Info, Title: "an archive is copied and then unpacked",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			copied := map[string]*dockerfile.Instruction{} // archive to the COPY
			for _, in := range s.Instructions {
				switch in.Name {
				case "COPY":
					noteArchives(copied, in)
				case "RUN":
					for _, script := range p.Scripts(in) {
						reportUnpacked(p, copied, script)
					}
				}
			}
		}
	},
}

// noteArchives remembers what a COPY from the context puts into the image.
func noteArchives(copied map[string]*dockerfile.Instruction, in *dockerfile.Instruction) {
	if _, from := in.Flag("from"); from {
		return
	}
	sources, target := paths(in)
	if isArchive(target) {
		sources = []string{target}
	}
	for _, s := range sources {
		if isArchive(s) {
			copied[baseName(s)] = in
		}
	}
}

func reportUnpacked(p *lint.Pass, copied map[string]*dockerfile.Instruction, s *shell.Script) {
	for _, c := range s.Commands {
		if !unpacks(c) {
			continue
		}
		for _, a := range c.Operands() {
			name := baseName(a.Text)
			if in := copied[name]; in != nil {
				delete(copied, name)
				p.Report(in.Args.Range(), "%s is copied and then unpacked: ADD unpacks it, without a copy in a layer", name)
			}
		}
	}
}

// unpacks says whether a command takes archives apart.
func unpacks(c *shell.Command) bool {
	if c.Is("tar") {
		return c.Has("--extract", "--get") || slices.ContainsFunc(c.Args, func(a shell.Arg) bool {
			return strings.HasPrefix(a.Text, "-") && !strings.HasPrefix(a.Text, "--") && strings.Contains(a.Text, "x")
		}) || len(c.Args) > 0 && !strings.HasPrefix(c.Args[0].Text, "-") && strings.Contains(c.Args[0].Text, "x") && !strings.Contains(c.Args[0].Text, ".")
	}
	return c.Is("unzip", "gunzip", "bunzip2", "unlzma", "unxz", "zgz", "uncompress", "zcat", "gzcat")
}

func baseName(p string) string { return path.Base(strings.ReplaceAll(strings.Trim(p, `"'`), `\`, "/")) }
