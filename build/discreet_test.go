package build

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWithoutUser(t *testing.T) {
	for in, want := range map[string]string{
		"https://me:secret@host/x.git#main": "https://host/x.git#main",
		"https://host/x.git#main":           "https://host/x.git#main",
		"docker-image://host/x@sha256:1":    "docker-image://host/x@sha256:1",
		"git@host:x.git":                    "git@host:x.git",
		"/some/dir@x":                       "/some/dir@x",
		"-":                                 "-",
	} {
		if got := withoutUser(in); got != want {
			t.Errorf("withoutUser(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDiscreet(t *testing.T) {
	got := discreet(map[string]string{"A": "1", "NPM_TOKEN": "t", "https_proxy": "http://u:p@h"})
	want := map[string]string{"A": "1", "NPM_TOKEN": "e3b98a4d", "https_proxy": "5e8cd33a"}
	if got["https_proxy"] == "http://u:p@h" || len(got["https_proxy"]) != 8 {
		t.Errorf("https_proxy is %q", got["https_proxy"])
	}
	want["https_proxy"] = got["https_proxy"]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}
