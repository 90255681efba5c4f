package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/registry/server/storage"
)

// TestCrowd has a thousand clients at once: most pull an image, others push, or go
// away half-way, while garbage is collected without grace. No pull may fail.
func TestCrowd(t *testing.T) {
	s := storages["files"](t)
	r := start(t, s, server.Options{})
	data := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB
	layer := r.blob("app", data)
	config := r.blob("app", "{}")
	man := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"x/y","digest":%q,"size":2},"layers":[{"mediaType":"x/y","digest":%q,"size":%d}]}`,
		config, layer, len(data))
	r.want(201, "PUT", "/v2/app/manifests/v1", man, "Content-Type: "+image.MediaTypeManifest)

	ctx, stop := context.WithCancel(t.Context())
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		for ctx.Err() == nil {
			if _, err := storage.CollectGarbage(ctx, s, storage.GCOptions{Grace: -1, Untagged: true}); err != nil && ctx.Err() == nil {
				t.Errorf("collect garbage: %v", err)
			}
		}
	}()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			switch i % 10 {
			case 0:
				halfPull(t, client, r.url+"/v2/app/blobs/"+layer.String())
			case 1:
				halfPush(t, r.url, fmt.Sprint("half", i%7))
			case 2, 3:
				crowdPush(t, client, r.url, fmt.Sprint("pushed", i%7), fmt.Sprint("layer ", i))
			default:
				for path, want := range map[string]string{"/manifests/v1": man, "/blobs/" + layer.String(): data, "/blobs/" + config.String(): "{}"} {
					crowdPull(t, client, r.url+"/v2/app"+path, want)
				}
			}
		})
	}
	wg.Wait()
	stop()
	<-collected
	problems, err := storage.Scrub(t.Context(), s, storage.ScrubOptions{})
	if err != nil || len(problems) > 0 {
		t.Errorf("scrub: %v, %v", problems, err)
	}
}

func crowdPull(t *testing.T, client *http.Client, url, want string) {
	resp, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || string(raw) != want {
		t.Errorf("%s: %s, %d bytes, %v", url, resp.Status, len(raw), err)
	}
}

func halfPull(t *testing.T, client *http.Client, url string) {
	resp, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 1000)
	resp.Body.Close()
}

// halfPush says that it sends more than it does.
func halfPush(t *testing.T, url, repo string) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v2/%s/blobs/uploads/?digest=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nhalf of it", repo, digest.FromString("x"))
}

// crowdPush pushes an image. Nothing gives it time: its blobs may be collected
// before the manifest comes, which is told then.
func crowdPush(t *testing.T, client *http.Client, url, repo, text string) {
	send := func(method, path, contentType, body string) int {
		req, err := http.NewRequest(method, url+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0
		}
		req.Header.Set("Content-Type", contentType)
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return 0
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	d := digest.FromString(text)
	if got := send("POST", "/v2/"+repo+"/blobs/uploads/?digest="+d.String(), "", text); got != 201 {
		t.Errorf("push blob: %d", got)
	}
	man := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"x/y","digest":%q,"size":%d},"layers":[]}`, d, len(text))
	if got := send("PUT", "/v2/"+repo+"/manifests/v1", image.MediaTypeManifest, man); got != 201 && got != 404 {
		t.Errorf("push manifest: %d", got)
	}
}

// TestSlowClients checks that who neither sends nor takes anything is let go, and
// that what was sent until then is kept.
func TestSlowClients(t *testing.T) {
	s := storages["files"](t)
	h := server.New(s, server.Options{Idle: 100 * time.Millisecond})
	ended := make(chan string, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		ended <- r.Method
	}))
	defer srv.Close()
	r := &registry{t, srv.URL}
	send := func(request string) net.Conn {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	wait := func(method string) {
		t.Helper()
		for {
			select {
			case got := <-ended:
				if got == method {
					return
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("%s goes on", method)
			}
		}
	}
	at := r.begin("a")
	conn := send("PATCH " + at + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nwhat comes")
	wait("PATCH")
	if raw, _ := io.ReadAll(conn); !bytes.Contains(raw, []byte(" 408 ")) {
		t.Errorf("answer %q", raw)
	}
	if got := r.want(204, "GET", at, "").header.Get("Range"); got != "0-9" {
		t.Errorf("range %s", got)
	}
	r.want(202, "PATCH", at, " later", "Content-Range: 10-15")
	r.want(201, "PUT", at+"?digest="+digest.FromString("what comes later").String(), "")

	d := r.blob("a", strings.Repeat("x", 32<<20))
	send("GET /v2/a/blobs/" + d.String() + " HTTP/1.1\r\nHost: x\r\n\r\n") // and takes nothing
	wait("GET")
	wait("GET") // the first was the one for the range
}
