//go:build linux

package files_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/registry/server/storage"
)

// smallDisk is a filesystem of four megabytes that is mounted nowhere.
func smallDisk(t *testing.T) string {
	t.Helper()
	testenv.Root(t)
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Skipf("needs fsopen: %v", err)
	}
	defer unix.Close(fs)
	if err := errors.Join(unix.FsconfigSetString(fs, "size", "4m"), unix.FsconfigCreate(fs)); err != nil {
		t.Skipf("needs tmpfs: %v", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs fsmount: %v", err)
	}
	disk := os.NewFile(uintptr(fd), "disk")
	t.Cleanup(func() { disk.Close() })
	return fmt.Sprintf("/proc/self/fd/%d/registry", disk.Fd())
}

// manyTags are tags to be deleted one by one.
func manyTags(i int) []string {
	var tags []string
	for n := range 50 {
		tags = append(tags, fmt.Sprintf("tag-%d-%d", i, n))
	}
	return tags
}

// TestFullDisk pushes until the disk is full, which is told as that; what was pushed
// stays, can be pulled, and can be deleted, so that there is room again.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t)
	s := open(t, dir)
	g := server.New(s, server.Options{})
	do := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", image.MediaTypeManifest)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		return w
	}
	push := func(i int) (string, int) {
		data := strings.Repeat(fmt.Sprintf("%10d", i), 30<<10)
		d := digest.FromString(data)
		if w := do("POST", "/v2/r/blobs/uploads/?digest="+d.String(), data); w.Code != 201 {
			return "", w.Code
		}
		raw := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"x/y","digest":%q,"size":%d},"layers":[]}`, d, len(data))
		code := do("PUT", fmt.Sprint("/v2/r/manifests/v", i), raw).Code
		if code == 201 {
			code = do("PUT", "/v2/r/manifests/"+digest.FromString(raw).String()+"?tag="+strings.Join(manyTags(i), "&tag="), raw).Code
		}
		return raw, code
	}
	for round := range 3 {
		kept := map[int]string{}
		n := 0
		for ; ; n++ {
			raw, code := push(n)
			if code == 507 {
				break
			}
			if code != 201 || n > 100 {
				t.Fatalf("push %d: %d", n, code)
			}
			kept[n] = raw
		}
		if len(kept) < 8 {
			t.Fatalf("round %d: full after %d", round, len(kept))
		}
		for range 20 { // nothing of these stays either
			if _, code := push(n); code != 507 {
				t.Errorf("on a full disk: %d", code)
			}
		}
		problems, err := storage.Scrub(t.Context(), s, storage.ScrubOptions{})
		if err != nil || len(problems) > 0 {
			t.Fatalf("scrub: %v, %v", problems, err)
		}
		for i, raw := range kept {
			if w := do("GET", fmt.Sprint("/v2/r/manifests/v", i), ""); w.Code != 200 || w.Body.String() != raw {
				t.Errorf("pull %d: %d", i, w.Code)
			}
		}
		ballast := dir + "/uploads/ballast" // not a byte is left
		f, err := os.Create(ballast)
		must(t, err)
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
		f.Close()
		for i := range kept {
			for _, tag := range manyTags(i) {
				if w := do("DELETE", "/v2/r/manifests/"+tag, ""); w.Code != 202 {
					t.Fatalf("delete tag %s on a full disk: %d %s", tag, w.Code, w.Body)
				}
			}
		}
		for i, raw := range kept {
			if w := do("DELETE", "/v2/r/manifests/"+digest.FromString(raw).String(), ""); w.Code != 202 {
				t.Fatalf("delete %d on a full disk: %d %s", i, w.Code, w.Body)
			}
		}
		must(t, os.Remove(ballast))
		_, err = storage.CollectGarbage(t.Context(), s, storage.GCOptions{Grace: -1})
		must(t, err)
		_, err = s.Blobs.Expire(t.Context(), time.Now().Add(time.Hour), false)
		must(t, err)
	}
}
