package progress

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

// step is the life of one step: started, a line of output, ended with failure.
func step(name, output, failure string) []*client.SolveStatus {
	id := digest.FromString(name)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	end := start.Add(1500 * time.Millisecond)
	return []*client.SolveStatus{
		{Vertexes: []*client.Vertex{{Digest: id, Name: name, Started: &start}}},
		{Logs: []*client.VertexLog{{Vertex: id, Stream: 1, Data: []byte(output), Timestamp: start}}},
		{Vertexes: []*client.Vertex{{Digest: id, Name: name, Started: &start, Completed: &end, Error: failure}}},
	}
}

func TestDisplay(t *testing.T) {
	boom := errors.New("exit code: 1")
	tests := []struct {
		name        string
		mode        Mode
		cause       error
		want, avoid []string
	}{
		{"plain", Plain, nil, []string{"#1 [1/1] RUN greet\n", "#1 0.000 hi there\n", "#1 DONE 1.5s\n"}, nil},
		{"auto is plain on a buffer", Auto, nil, []string{"#1 DONE 1.5s\n"}, []string{"\x1b"}},
		{"plain failure", Plain, boom, []string{"#1 ERROR: exit code: 1\n", " > [1/1] RUN greet:\n"}, nil},
		{"quiet", Quiet, nil, nil, []string{"greet", "hi"}},
		{"quiet failure", Quiet, boom, nil, []string{"greet", "hi"}},
		{"none", None, boom, nil, []string{"greet", "hi"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			d, err := New(&out, tt.mode)
			if err != nil {
				t.Fatal(err)
			}
			failure := ""
			if tt.cause != nil {
				failure = tt.cause.Error()
			}
			for _, s := range step("[1/1] RUN greet", "hi there\n", failure) {
				d.Update(s)
			}
			d.Close()
			d.Close()
			for _, w := range tt.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("output lacks %q:\n%s", w, &out)
				}
			}
			for _, w := range tt.avoid {
				if strings.Contains(out.String(), w) {
					t.Errorf("output has %q:\n%s", w, &out)
				}
			}
		})
	}
}

func TestDisplayRawJSON(t *testing.T) {
	var out bytes.Buffer
	d, err := New(&out, RawJSON)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range step("[1/1] RUN greet", "hi\n", "") {
		d.Update(s)
	}
	d.Close()
	var names []string
	dec := json.NewDecoder(&out)
	for dec.More() {
		var s client.SolveStatus
		if err := dec.Decode(&s); err != nil {
			t.Fatal(err)
		}
		for _, v := range s.Vertexes {
			names = append(names, v.Name)
		}
	}
	if diff := cmp.Diff([]string{"[1/1] RUN greet", "[1/1] RUN greet"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestDisplayWithoutUpdates(t *testing.T) {
	var out bytes.Buffer
	d, err := New(&out, Plain)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	if out.Len() != 0 {
		t.Errorf("drew %q", &out)
	}
}

func TestTTYNeedsTerminal(t *testing.T) {
	if _, err := New(new(bytes.Buffer), TTY); err == nil {
		t.Error("a live view on a buffer: no error")
	}
}

func TestWarnings(t *testing.T) {
	list := []client.VertexWarning{{
		Short:      []byte("StageNameCasing: stage name 'A' (line 1)"),
		Detail:     [][]byte{[]byte("Stage names are lower case")},
		URL:        "https://docs.docker.com/go/x",
		SourceInfo: &pb.SourceInfo{Filename: "Dockerfile", Data: []byte("FROM scratch AS A\n")},
		Range:      []*pb.Range{{Start: &pb.Position{Line: 1}, End: &pb.Position{Line: 1}}},
	}}
	short := "\n 1 warning found (use --debug to expand):\n - StageNameCasing: stage name 'A' (line 1)\n"
	tests := []struct {
		name    string
		mode    Mode
		list    []client.VertexWarning
		details bool
		want    string
	}{
		{"none", Plain, nil, false, ""},
		{"one", Plain, list, false, short},
		{"two", Plain, append(list, list...), false, "\n 2 warnings found (use --debug to expand):\n" + strings.Repeat(" - StageNameCasing: stage name 'A' (line 1)\n", 2)},
		{"quiet", Quiet, list, true, ""},
		{"for programs", RawJSON, list, true, ""},
		{"details", Plain, list, true, `
 1 warning found:
 - StageNameCasing: stage name 'A' (line 1)
Stage names are lower case
More info: https://docs.docker.com/go/x
Dockerfile:1
--------------------
   1 | >>> FROM scratch AS A
   2 |     
--------------------

`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			d, err := New(&out, tt.mode)
			if err != nil {
				t.Fatal(err)
			}
			d.Warnings(tt.list, tt.details)
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseMode(t *testing.T) {
	for in, want := range map[string]Mode{"": Auto, "auto": Auto, "rawjson": RawJSON, "none": None, "quiet": Quiet} {
		if got, err := ParseMode(in); got != want || err != nil {
			t.Errorf("ParseMode(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	if _, err := ParseMode("fancy"); err == nil {
		t.Error("ParseMode(fancy): no error")
	}
}
