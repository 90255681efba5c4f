package rules

import (
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/github/go-spdx/v2/spdxexp/spdxlicenses"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

// onLabels makes a Check for the labels of the schema that have a type: bad says
// whether a value is none of it. An empty type is all of them.
func onLabels(kind lint.LabelType, message string, bad func(string) bool) func(*lint.Pass) {
	return func(p *lint.Pass) {
		p.Each(func(in *dockerfile.Instruction) {
			for _, kv := range in.Pairs() {
				want, ok := p.Settings.Labels[kv.Key]
				if ok && (kind == "" || want == kind) && bad(kv.Value) {
					p.Report(kv.Text.Range(), message, kv.Key)
				}
			}
		}, "LABEL")
	}
}

func isNoURL(s string) bool {
	u, err := url.Parse(s)
	return err != nil || u.Scheme == ""
}

func isNoTime(s string) bool {
	_, err := time.Parse(time.RFC3339, s)
	return err != nil
}

func isNoHash(s string) bool {
	return strings.Trim(s, "0123456789abcdef") != "" || len(s) != 7 && len(s) != 40
}

func isNoEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err != nil || a.Address != s
}

// isNoLicence asks the SPDX list, in the case that it is written in there.
func isNoLicence(s string) bool {
	return !slices.Contains(spdxlicenses.GetLicenses(), s) && !slices.Contains(spdxlicenses.GetDeprecated(), s)
}
