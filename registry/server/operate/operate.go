// Package operate is what a server needs besides its handler: health, metrics in the
// text form of Prometheus, and a structured access log.
package operate

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Metrics count requests. The zero value counts none yet; it is safe for concurrent use.
type Metrics struct {
	inFlight atomic.Int64
	sent     atomic.Int64

	mu       sync.Mutex
	requests map[series]*count
}

// A series is what requests are counted by.
type series struct {
	method string
	code   int
}

type count struct {
	n       int64
	seconds float64
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		m.write(w)
	})
}

func (m *Metrics) write(w http.ResponseWriter) {
	m.mu.Lock()
	all := make(map[series]count, len(m.requests))
	for k, v := range m.requests {
		all[k] = *v
	}
	m.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(all), func(a, b series) int {
		if a.method != b.method {
			return map[bool]int{true: -1, false: 1}[a.method < b.method]
		}
		return a.code - b.code
	})
	fmt.Fprint(w, "# HELP mica_registry_requests_total Requests that were answered.\n# TYPE mica_registry_requests_total counter\n")
	for _, k := range keys {
		fmt.Fprintf(w, "mica_registry_requests_total{method=%q,code=\"%d\"} %d\n", k.method, k.code, all[k].n)
	}
	fmt.Fprint(w, "# HELP mica_registry_request_seconds_total Time that requests took.\n# TYPE mica_registry_request_seconds_total counter\n")
	for _, k := range keys {
		fmt.Fprintf(w, "mica_registry_request_seconds_total{method=%q,code=\"%d\"} %g\n", k.method, k.code, all[k].seconds)
	}
	fmt.Fprintf(w, "# HELP mica_registry_requests_in_flight Requests under way.\n# TYPE mica_registry_requests_in_flight gauge\nmica_registry_requests_in_flight %d\n", m.inFlight.Load())
	fmt.Fprintf(w, "# HELP mica_registry_sent_bytes_total Bytes of answers.\n# TYPE mica_registry_sent_bytes_total counter\nmica_registry_sent_bytes_total %d\n", m.sent.Load())
}

// methods are those that are told apart: others are a client's invention.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

func (m *Metrics) add(method string, code int, took time.Duration, sent int64) {
	if !slices.Contains(methods, method) {
		method = "other"
	}
	m.sent.Add(sent)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.requests == nil {
		m.requests = map[series]*count{}
	}
	k := series{method, code}
	if m.requests[k] == nil {
		m.requests[k] = &count{}
	}
	m.requests[k].n++
	m.requests[k].seconds += took.Seconds()
}

// Watch counts and logs the requests that h answers. log may be nil; actor names who
// sends a request, and may be nil too.
func Watch(h http.Handler, m *Metrics, log *slog.Logger, actor func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.inFlight.Add(1)
		defer m.inFlight.Add(-1)
		start := time.Now()
		rec := &recorder{ResponseWriter: w, code: http.StatusOK}
		defer func() {
			took := time.Since(start)
			m.add(r.Method, rec.code, took, rec.sent)
			if log == nil {
				return
			}
			user := ""
			if actor != nil && rec.code != http.StatusUnauthorized {
				user = actor(r)
			}
			log.Info("request", "method", r.Method, "path", r.URL.Path, "code", rec.code, "bytes", rec.sent,
				"ms", strconv.FormatFloat(float64(took.Microseconds())/1000, 'f', 3, 64), "client", r.RemoteAddr, "user", user, "agent", r.UserAgent())
		}()
		h.ServeHTTP(rec, r)
	})
}

// A recorder notes the status and counts bytes.
type recorder struct {
	http.ResponseWriter
	code int
	sent int64
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(code int) {
	if code >= 200 {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write counts.
func (r *recorder) Write(p []byte) (int, error) {
	n, err := r.ResponseWriter.Write(p)
	r.sent += int64(n)
	return n, err
}

// ReadFrom lets the kernel send files.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(r.ResponseWriter, src)
	r.sent += n
	return n, err
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Health answers /healthz, that the process lives, and /readyz, that it serves: ready
// says why it does not. Everything else is next's.
func Health(next http.Handler, ready func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz":
			fmt.Fprintln(w, "ok")
		case "/readyz":
			if err := ready(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintln(w, "ok")
		default:
			next.ServeHTTP(w, r)
		}
	})
}
