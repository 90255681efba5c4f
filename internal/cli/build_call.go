package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mica-build/mica/errs"
)

// calls are the questions of --call besides build.
var calls = []string{"check", "outline", "targets", "subrequests.describe"}

// A call is a question about a Dockerfile. Name "" is a build.
type call struct {
	name         string
	opts         []string // "format=json"
	ignoreStatus bool
}

// parseCall reads --call ("name[,format=json][,ignorestatus=true]") and --check.
func parseCall(s string, check bool) (call, error) {
	if s == "" {
		s = "build"
	}
	fields, err := splitCSV(s)
	if err != nil {
		return call{}, fmt.Errorf("--call %q: %w", s, err)
	}
	c := call{name: fields[0]}
	switch {
	case c.name == "lint":
		c.name = "check"
	case c.name == "build":
		c.name = ""
	case !slices.Contains(calls, c.name):
		return call{}, fmt.Errorf("--call %q: %w: it is one of build, %s", s, errs.ErrInvalid, strings.Join(calls, ", "))
	}
	if check {
		if c.name != "" && c.name != "check" {
			return call{}, fmt.Errorf("--check and --call=%s exclude each other", c.name)
		}
		c.name = "check"
	}
	for _, f := range fields[1:] {
		if err := c.option(f); err != nil {
			return call{}, fmt.Errorf("--call %q: %w", s, err)
		}
	}
	return c, nil
}

func (c *call) option(field string) error {
	key, value, _ := strings.Cut(field, "=")
	switch key {
	case "format":
		if value != "json" && value != "text" {
			return fmt.Errorf("format %q: %w: it is json or text", value, errs.ErrInvalid)
		}
		c.opts = append(c.opts, field)
	case "ignorestatus":
		ignore, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("ignorestatus %q: %w", value, errs.ErrInvalid)
		}
		c.ignoreStatus = ignore
	default:
		return fmt.Errorf("option %q: %w: it is format or ignorestatus", field, errs.ErrInvalid)
	}
	return nil
}
