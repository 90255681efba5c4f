package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A filters holds the values of --filter by key. Different keys all have to
// hold; what several values of one key mean is the command's matter.
type filters map[string][]string

// parseFilters reads "key=value" and, for label, "key!=value" (kept as "label!").
// Keys other than the known ones are refused.
func parseFilters(list []string, known ...string) (filters, error) {
	f := filters{}
	for _, s := range list {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("invalid filter %q: it should be key=value", s)
		}
		key = strings.ToLower(strings.TrimSpace(key))
		if !slices.Contains(known, key) {
			return nil, fmt.Errorf("invalid filter %q: there is %s", key, strings.Join(known, ", "))
		}
		f[key] = append(f[key], strings.TrimSpace(value))
	}
	return f, nil
}

// boolean is the value of a key that is true or false; nil if it is not there.
func (f filters) boolean(key string) (*bool, error) {
	var out *bool
	for _, s := range f[key] {
		b, err := strconv.ParseBool(s)
		if err != nil {
			return nil, fmt.Errorf("invalid filter '%s=%s': it is true or false", key, s)
		}
		out = &b
	}
	return out, nil
}

// time is the value of a key that is a moment; zero if it is not there.
func (f filters) time(key string, now time.Time) (time.Time, error) {
	var out time.Time
	if len(f[key]) > 1 {
		return out, fmt.Errorf("invalid filter: more than one %s", key)
	}
	for _, s := range f[key] {
		t, err := parseTime(s, now)
		if err != nil {
			return out, fmt.Errorf("invalid filter '%s=%s': %w", key, s, err)
		}
		out = t
	}
	return out, nil
}

// timeLayouts are the ways to write a moment; those without a zone are local.
var timeLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02Z07:00", "2006-01-02",
}

// parseTime reads a moment as docker does: how long ago ("24h"), a date with or
// without time and zone, or seconds since 1970 with or without a fraction.
func parseTime(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	for _, l := range timeLayouts {
		if t, err := time.ParseInLocation(l, s, now.Location()); err == nil {
			return t, nil
		}
	}
	whole, fraction, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no duration, date or number of seconds", s)
	}
	nsec, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no duration, date or number of seconds", s)
	}
	return time.Unix(sec, nsec), nil
}
