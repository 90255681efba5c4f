package build

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/moby/buildkit/frontend/subrequests/lint"

	"github.com/mica-build/mica/build/frontend"
	"github.com/mica-build/mica/errs"
)

func (s *session) isCall() bool { return s.r.Call != "" && s.r.Call != "build" }

// call asks the front end a question about the Dockerfile; nothing is built.
func (s *session) call(ctx context.Context) (*Result, error) {
	id, ok := map[string]string{
		"check":                "frontend.lint",
		"lint":                 "frontend.lint",
		"outline":              "frontend.outline",
		"targets":              "frontend.targets",
		"subrequests.describe": "frontend.subrequests.describe",
	}[s.r.Call]
	if !ok {
		return nil, fmt.Errorf("--call %s: %w: use build, check, outline, targets or subrequests.describe", s.r.Call, errs.ErrUnsupported)
	}
	s.opts["requestid"] = id
	s.opts["frontend.caps"] = "moby.buildkit.frontend.subrequests"
	fr, err := frontend.Solve(ctx, s, s.opts, s.workers())
	if err != nil {
		return nil, err
	}
	res := &Result{Warnings: s.warnings}
	if code := fr.Answer["result.statuscode"]; code != nil {
		if res.CallExitCode, err = strconv.Atoi(string(code)); err != nil {
			return nil, fmt.Errorf("front end's status code %q: %w", code, err)
		}
	}
	asJSON := slices.Contains(s.r.CallOpts, "format=json")
	switch {
	case asJSON:
		res.Call = append(bytes.TrimSpace(fr.Answer["result.json"]), '\n')
	case id == "frontend.lint":
		res.Call, err = checkReport(fr.Answer["result.json"])
	default:
		res.Call = fr.Answer["result.txt"]
	}
	return res, err
}

// checkReport is the text of a check: a line that counts, then the warnings
// with their Dockerfile lines.
func checkReport(raw []byte) ([]byte, error) {
	var r lint.LintResults
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("front end's lint results: %w", err)
	}
	var b bytes.Buffer
	switch n := len(r.Warnings); {
	case r.Error != nil && n == 0:
	case n == 0:
		b.WriteString("Check complete, no warnings found.\n")
	case n == 1:
		b.WriteString("Check complete, 1 warning has been found!\n")
	default:
		fmt.Fprintf(&b, "Check complete, %d warnings have been found!\n", n)
	}
	if err := r.PrintTo(&b, nil); err != nil {
		return nil, fmt.Errorf("front end's lint results: %w", err)
	}
	if r.Error != nil {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		r.PrintErrorTo(&b, nil)
	}
	return b.Bytes(), nil
}
