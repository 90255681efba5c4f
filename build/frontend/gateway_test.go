package frontend

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client/llb/sourceresolver"
)

func TestGitResponse(t *testing.T) {
	branch := GitAnswer{Ref: "refs/heads/main", Object: "c1", Commit: "c1", RawCommit: []byte("commit")}
	tag := GitAnswer{Ref: "refs/tags/v1", Object: "t1", Commit: "c1", RawCommit: []byte("commit"), RawTag: []byte("tag")}
	tests := []struct {
		name string
		in   GitAnswer
		keep bool
		want sourceresolver.ResolveGitResponse
	}{
		{"branch", branch, false, sourceresolver.ResolveGitResponse{Ref: "refs/heads/main", Checksum: "c1", CommitObject: []byte("commit")}},
		{"tag", tag, false, sourceresolver.ResolveGitResponse{Ref: "refs/tags/v1", Checksum: "t1", CommitChecksum: "c1", CommitObject: []byte("commit"), TagObject: []byte("tag")}},
		{"tag with .git", tag, true, sourceresolver.ResolveGitResponse{Ref: "refs/tags/v1", Checksum: "t1", CommitObject: []byte("commit"), TagObject: []byte("tag")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(&tt.want, gitResponse(tt.in, tt.keep)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBuiltin(t *testing.T) {
	tests := map[string]bool{
		"docker/dockerfile": true, "docker/dockerfile:1": true, "docker.io/docker/dockerfile:1.4-labs": true,
		"docker/dockerfile-upstream:master": true, "docker/dockerfile:1@sha256:00": true, "dockerfile.v0": true,
		"docker/dockerfile2": false, "example.org/docker/dockerfile:1": false, "other/dockerfile": false, "": false,
	}
	for ref, want := range tests {
		if got := builtin(ref); got != want {
			t.Errorf("builtin(%q) is %v", ref, got)
		}
	}
}
