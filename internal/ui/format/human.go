package format

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/docker/go-units"
)

// Size prints bytes as docker does in lists: "12.3MB".
func Size(n int64) string { return units.HumanSizeWithPrecision(float64(n), 3) }

// SizeExact prints bytes with the four digits of docker's totals: "12.34MB".
func SizeExact(n int64) string { return units.HumanSize(float64(n)) }

// Since prints how long ago t was: "3 weeks ago"; "N/A" for the zero time and
// the epoch, which stand for "not known" in reproducible images.
func Since(now, t time.Time) string {
	if t.IsZero() || t.Unix() <= 0 {
		return "N/A"
	}
	return units.HumanDuration(now.Sub(t)) + " ago"
}

// Time prints a time as docker's .CreatedAt.
func Time(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 -0700 MST") }

// ShortID is the 12 hex digits by which people name an id.
func ShortID(id string) string {
	if _, hex, ok := strings.Cut(id, ":"); ok {
		id = hex
	}
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

// Ellipsis cuts s to at most width characters and marks the cut.
func Ellipsis(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	r := []rune(s)
	return string(r[:width-1]) + "…"
}
