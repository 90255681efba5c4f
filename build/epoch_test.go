package build

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestEpoch(t *testing.T) {
	modified := time.Unix(1400000000, 0).UTC()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", modified.Format(http.TimeFormat))
	}))
	defer s.Close()
	b := newBench(t, map[string]string{"f": "f"})
	const file = "FROM scratch\nWORKDIR /w\nCOPY f .\n"
	const withDefault = "ARG SOURCE_DATE_EPOCH=1234567890\n" + file
	fromStage := "ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nADD " + s.URL + "/x /\n" + file
	is := func(sec int64) *time.Time { x := time.Unix(sec, 0).UTC(); return &x }
	tests := []struct {
		name, dockerfile, arg string
		reproducible          bool
		want                  *time.Time // nil is today
	}{
		{"none", file, "", false, nil},
		{"number", file, "1500000000", false, is(1500000000)},
		{"default", withDefault, "", false, is(1234567890)},
		{"number over default", withDefault, "5", false, is(5)},
		{"directory", file, "context", false, nil},
		{"stage", fromStage, "", false, &modified},
		{"reproducible", file, "", true, is(0)},
		{"reproducible number", file, "7", true, is(7)},
		{"reproducible default", withDefault, "", true, is(1234567890)},
		{"reproducible stage", fromStage, "", true, &modified},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.TB = t
			b.write("Dockerfile", tt.dockerfile)
			c := b.config(b.build(Request{SourceDateEpoch: tt.arg, Reproducible: tt.reproducible}))
			ok := func(x *time.Time) bool {
				if tt.want == nil {
					return x != nil && time.Since(*x) < time.Hour
				}
				return x != nil && x.Equal(*tt.want)
			}
			if !ok(c.Created) {
				t.Errorf("created %v, want %v", c.Created, tt.want)
			}
			for _, h := range c.History {
				if !ok(h.Created) {
					t.Errorf("%s: created %v, want %v", h.CreatedBy, h.Created, tt.want)
				}
			}
		})
	}
}

func TestEpochThatIsNone(t *testing.T) {
	b := newBench(t, map[string]string{"Dockerfile": "FROM scratch\n"})
	if _, err := b.try(Request{SourceDateEpoch: "yesterday"}); err == nil {
		t.Error("no error")
	}
}

// A build that needs the front end twice warns once.
func TestReproducibleWarnsOnce(t *testing.T) {
	b := newBench(t, map[string]string{"Dockerfile": "from scratch\nLABEL a=b\n"})
	if n := len(b.build(Request{Reproducible: true}).Warnings); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
}
