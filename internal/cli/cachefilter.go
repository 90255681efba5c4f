package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mica-build/mica/engine"
)

// cacheFilterKeys are the fields of cache entries that --filter knows.
var cacheFilterKeys = []string{"until", "id", "parents", "description", "inuse", "mutable", "immutable", "shared", "private", "type"}

// A cacheFilter chooses entries of the build cache: all of its tests must hold.
type cacheFilter struct {
	tests []func(engine.CacheEntry) bool
	until time.Time // last used before; zero is no bound
}

func (f cacheFilter) holds(c engine.CacheEntry) bool {
	if !f.until.IsZero() && !c.LastUsed.Before(f.until) {
		return false
	}
	for _, t := range f.tests {
		if !t(c) {
			return false
		}
	}
	return true
}

// filterTerm splits "key=value", "key!=value", "key~=regexp" and "key".
var filterTerm = regexp.MustCompile(`^([a-z]+)\s*(?:(=|!=|~=)\s*(.*))?$`)

// parseCacheFilter reads the filters of du and prune as buildx has them.
func parseCacheFilter(list []string, now time.Time) (cacheFilter, error) {
	var f cacheFilter
	for _, s := range list {
		parts := filterTerm.FindStringSubmatch(s)
		if parts == nil || !slices.Contains(cacheFilterKeys, parts[1]) {
			return f, fmt.Errorf("invalid filter %q: it should be KEY, KEY=VALUE, KEY!=VALUE or KEY~=REGEXP, where KEY is one of %s",
				s, strings.Join(cacheFilterKeys, ", "))
		}
		key, op, value := parts[1], parts[2], parts[3]
		if key == "until" {
			t, err := parseTime(value, now)
			if err != nil || op != "=" {
				return f, fmt.Errorf("invalid filter %q: it should be until=DURATION or until=TIME", s)
			}
			f.until = t
			continue
		}
		test, err := cacheTest(key, op, value)
		if err != nil {
			return f, fmt.Errorf("invalid filter %q: %w", s, err)
		}
		f.tests = append(f.tests, test)
	}
	return f, nil
}

// cacheTest makes one test. A key of yes and no needs no value.
func cacheTest(key, op, value string) (func(engine.CacheEntry) bool, error) {
	field := func(c engine.CacheEntry) []string { return cacheField(c, key) }
	switch op {
	case "":
		return func(c engine.CacheEntry) bool { return slices.Contains(field(c), "true") }, nil
	case "=":
		return func(c engine.CacheEntry) bool { return slices.Contains(field(c), value) }, nil
	case "!=":
		return func(c engine.CacheEntry) bool { return !slices.Contains(field(c), value) }, nil
	}
	re, err := regexp.Compile(value)
	if err != nil {
		return nil, err
	}
	return func(c engine.CacheEntry) bool { return slices.ContainsFunc(field(c), re.MatchString) }, nil
}

// cacheField gives the values that an entry has for a key.
func cacheField(c engine.CacheEntry, key string) []string {
	switch key {
	case "id":
		return []string{c.ID}
	case "parents":
		return c.Parents
	case "description":
		return []string{c.Description}
	case "type":
		return []string{c.Type}
	}
	yes := map[string]bool{
		"inuse": c.InUse, "mutable": c.Mutable, "immutable": !c.Mutable, "shared": c.Shared, "private": !c.Shared,
	}[key]
	return []string{strconv.FormatBool(yes)}
}
