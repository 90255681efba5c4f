package build

import (
	"errors"
	"strings"
	"testing"

	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
)

// An error shows the lines that caused it between two lines of context.
func TestSourceError(t *testing.T) {
	cause := errors.New("no such thing")
	lines := func(r ...int32) (out []*pb.Range) {
		for i := 0; i < len(r); i += 2 {
			out = append(out, &pb.Range{Start: &pb.Position{Line: r[i]}, End: &pb.Position{Line: r[i+1]}})
		}
		return out
	}
	for _, c := range []struct {
		name   string
		data   string
		ranges []*pb.Range
		want   string
	}{
		{"one line", "FROM a\nRUN b\nRUN c\nRUN d\nRUN e\nRUN f\n", lines(3, 3), `Dockerfile:3
--------------------
   1 |     FROM a
   2 |     RUN b
   3 | >>> RUN c
   4 |     RUN d
   5 |     RUN e
--------------------
no such thing`},
		{"the first of several lines", "RUN a \\\n b\r\n\nRUN c", lines(1, 2), `Dockerfile:1-2
--------------------
   1 | >>> RUN a \
   2 | >>>  b
   3 |     
   4 |     RUN c
--------------------
no such thing`},
		{"two places", "COPY a\nx\ny\nCOPY b\n", lines(4, 4, 1, 1), `Dockerfile:1-4
--------------------
   1 | >>> COPY a
   2 |     x
   3 |     y
   4 | >>> COPY b
--------------------
no such thing`},
		{"an end before the start", "a\nb\n", lines(2, 1), `Dockerfile:2
--------------------
   1 |     a
   2 | >>> b
--------------------
no such thing`},
		{"lines behind the end of the file", "a\n", lines(7, 9), `Dockerfile:7-9
--------------------
--------------------
no such thing`},
		{"no place", "a\n", lines(0, 0), "no such thing"},
		{"nothing said", "a\n", nil, "no such thing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := &errdefs.Source{Info: &pb.SourceInfo{Filename: "Dockerfile", Data: []byte(c.data)}, Ranges: c.ranges}
			err := newSourceError(cause, src)
			if err.Error() != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", err, c.want)
			}
			if !errors.Is(err, cause) {
				t.Error("the cause is lost")
			}
		})
	}
}

// A range that no file has takes neither time nor memory.
func TestSourceErrorHuge(t *testing.T) {
	src := &errdefs.Source{
		Info:   &pb.SourceInfo{Filename: "Dockerfile", Data: []byte(strings.Repeat("x\n", 10))},
		Ranges: []*pb.Range{{Start: &pb.Position{Line: 1}, End: &pb.Position{Line: 1<<31 - 1}}},
	}
	var e *SourceError
	if err := newSourceError(errors.New("x"), src); !errors.As(err, &e) || len(e.Snippet) != 10 {
		t.Errorf("%d lines", len(e.Snippet))
	}
}
