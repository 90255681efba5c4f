package operate_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mica-build/mica/registry/server/operate"
)

func get(t *testing.T, h http.Handler, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestWatch(t *testing.T) {
	var m operate.Metrics
	var log bytes.Buffer
	h := operate.Watch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.Copy(w, strings.NewReader("hello"))
	}), &m, slog.New(slog.NewJSONHandler(&log, nil)), func(*http.Request) string { return "alice" })
	get(t, h, "GET", "/a")
	get(t, h, "GET", "/a")
	get(t, h, "HEAD", "/none")
	get(t, h, "BREW", "/a")
	text := get(t, m.Handler(), "GET", "/metrics").Body.String()
	for _, want := range []string{
		`mica_registry_requests_total{method="GET",code="200"} 2`,
		`mica_registry_requests_total{method="HEAD",code="404"} 1`,
		`mica_registry_requests_total{method="other",code="200"} 1`,
		"mica_registry_requests_in_flight 0",
		"mica_registry_sent_bytes_total 34", // three times hello, and a page
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if line, _, _ := strings.Cut(log.String(), "\n"); !strings.Contains(line, `"path":"/a","code":200,"bytes":5`) || !strings.Contains(line, `"user":"alice"`) {
		t.Errorf("log line %s", line)
	}
}

func TestHealth(t *testing.T) {
	var sick error
	h := operate.Health(http.NotFoundHandler(), func() error { return sick })
	for _, tt := range []struct {
		path string
		sick error
		want int
	}{
		{"/healthz", nil, 200},
		{"/readyz", nil, 200},
		{"/v2/", nil, 404},
		{"/healthz", errors.New("no disk"), 200},
		{"/readyz", errors.New("no disk"), 503},
	} {
		sick = tt.sick
		if got := get(t, h, "GET", tt.path).Code; got != tt.want {
			t.Errorf("%s: %d, want %d", tt.path, got, tt.want)
		}
	}
}
