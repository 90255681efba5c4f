package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/mica-build/mica/errs"
)

func TestReport(t *testing.T) {
	interrupted, cancel := context.WithCancelCause(t.Context())
	cancel(SignalError{syscall.SIGTERM})
	base := errors.New("no luck")
	for _, tt := range []struct {
		name string
		ctx  context.Context
		err  error
		code int
		text string
	}{
		{"success", t.Context(), nil, 0, ""},
		{"error", t.Context(), base, 1, "Error: no luck\n"},
		{"code", t.Context(), withCode(125, base), 125, "Error: no luck\n"},
		{"code within", t.Context(), fmt.Errorf("run: %w", withCode(127, base)), 127, "Error: run: no luck\n"},
		{"silent code", t.Context(), withCode(3, nil), 3, ""},
		{"hint", t.Context(), withHint(base, "Try again."), 1, "Error: no luck\n\nTry again.\n"},
		{"code and hint", t.Context(), withCode(125, withHint(base, "Try again.")), 125, "Error: no luck\n\nTry again.\n"},
		{"several", t.Context(), failures{base, errs.ErrNotFound}.err(), 1, "Error: no luck\nError: not found\n"},
		{"signal", interrupted, fmt.Errorf("copy: %w", context.Canceled), 128 + 15, "Error: canceled\n"},
		{"signal, but another error", interrupted, base, 1, "Error: no luck\n"},
		{"canceled without a signal", t.Context(), context.Canceled, 1, "Error: context canceled\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			if code := report(tt.ctx, &b, tt.err); code != tt.code || b.String() != tt.text {
				t.Errorf("%d, %q; want %d, %q", code, b.String(), tt.code, tt.text)
			}
		})
	}
	if err := (failures{}).err(); err != nil {
		t.Errorf("no failures are %v", err)
	}
}

func TestClosest(t *testing.T) {
	names := []string{"images", "image", "inspect", "rm", "tag"}
	for typed, want := range map[string]string{
		"imags": "images", "imge": "image", "inspct": "inspect", "tga": "tag",
		"x": "", "nonsense": "", "r": "rm", "": "",
	} {
		if got := closest(typed, names); got != want {
			t.Errorf("closest(%q) = %q, want %q", typed, got, want)
		}
	}
}

func TestRegistryHost(t *testing.T) {
	for in, want := range map[string]string{
		"": "docker.io", "https://index.docker.io/v1/": "docker.io", "docker.io": "docker.io",
		"localhost:5000": "localhost:5000", "https://ghcr.io": "ghcr.io", "ghcr.io/team/app": "ghcr.io",
	} {
		args := []string{in}
		if in == "" {
			args = nil
		}
		if got := registryHost(args); got != want {
			t.Errorf("registryHost(%q) = %q, want %q", in, got, want)
		}
	}
}
