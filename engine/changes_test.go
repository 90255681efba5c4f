package engine

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

func TestChange(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		want  string // the config's JSON
	}{
		{"cmd, shell form", []string{"CMD echo hi"}, `{"Cmd":["/bin/sh","-c","echo hi"]}`},
		{"cmd, json form", []string{`CMD ["a","b c"]`}, `{"Cmd":["a","b c"]}`},
		{"entrypoint after shell", []string{`SHELL ["/bin/bash","-ec"]`, "ENTRYPOINT run"}, `{"Entrypoint":["/bin/bash","-ec","run"],"Shell":["/bin/bash","-ec"]}`},
		{"env replaces and expands", []string{"ENV A=1 B=2", "ENV A=$B/$A"}, `{"Env":["A=2/1","B=2"]}`},
		{"env, old form", []string{"ENV A one two"}, `{"Env":["A=one two"]}`},
		{"expose", []string{"EXPOSE 80 53/UDP 8000-8002/tcp"}, `{"ExposedPorts":{"53/udp":{},"80/tcp":{},"8000/tcp":{},"8001/tcp":{},"8002/tcp":{}}}`},
		{"healthcheck", []string{"HEALTHCHECK --retries=2 CMD [\"x\"]"}, `{"Healthcheck":{"Test":["CMD","x"],"Retries":2}}`},
		{"no healthcheck", []string{"HEALTHCHECK NONE"}, `{"Healthcheck":{"Test":["NONE"]}}`},
		{"labels", []string{`LABEL a=1 b="x y"`, "LABEL a=2"}, `{"Labels":{"a":"2","b":"x y"}}`},
		{"onbuild", []string{"ONBUILD RUN make", "ONBUILD COPY . /"}, `{"OnBuild":["RUN make","COPY . /"]}`},
		{"stopsignal", []string{"STOPSIGNAL 9"}, `{"StopSignal":"9"}`},
		{"user", []string{"USER 1:2"}, `{"User":"1:2"}`},
		{"volumes", []string{`VOLUME /a /b`, `VOLUME ["/c d"]`}, `{"Volumes":{"/a":{},"/b":{},"/c d":{}}}`},
		{"workdir", []string{"WORKDIR a", "WORKDIR b/../c"}, `{"WorkingDir":"/a/c"}`},
		{"workdir, absolute", []string{"WORKDIR /a", "WORKDIR /b/"}, `{"WorkingDir":"/b"}`},
		{"several in one", []string{"USER x\nWORKDIR /y"}, `{"User":"x","WorkingDir":"/y"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c image.Config
			if err := change(&c, tt.lines); err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(c.Config)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, string(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestChangeRefuses(t *testing.T) {
	for _, line := range []string{
		"RUN true", "FROM x", "COPY a b", "ADD a b", "ARG a", "MAINTAINER me",
		"NONSENSE", "ENV A", `ENV A="x`, "LABEL", "", "#",
		"EXPOSE x", "EXPOSE 70000", "EXPOSE 80/icmp", "EXPOSE 9-8", "EXPOSE -1", "EXPOSE 1-", "EXPOSE",
		"HEALTHCHECK --interval=x CMD true", "SHELL bash",
	} {
		var c image.Config
		if err := change(&c, []string{line}); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("%q: %v, want %v", line, err, errs.ErrInvalid)
		}
	}
}

func FuzzChange(f *testing.F) {
	for _, s := range []string{
		"CMD a", `ENTRYPOINT ["a"]`, "ENV A=$B ${C:-d}", "EXPOSE 1-65535/udp", "HEALTHCHECK NONE",
		"LABEL a='b c'", "ONBUILD RUN x", "USER $U", `VOLUME ["/a"]`, "WORKDIR ../..", "ENV A <<E\nE", "\\\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var c image.Config
		if err := change(&c, []string{line}); err != nil && !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("%q: %v", line, err)
		}
		if w := c.Config.WorkingDir; w != "" && w[0] != '/' {
			t.Errorf("%q: working directory %q", line, w)
		}
	})
}
