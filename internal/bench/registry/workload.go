package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
)

// A workload is something that clients do to a server.
type workload struct {
	name, about string
	unit        string // of what run gives: a rate (more is better) or a time
	less        bool   // less is better
	prepare     func(*server) error
	run         func(*server) ([]float64, error)
}

// measure lets the servers take turns.
func (w workload) measure(ctx context.Context, servers []*server, rounds int) error {
	got := make([][]float64, len(servers))
	cpu := make([]float64, len(servers))
	for _, s := range servers {
		if w.prepare != nil && !s.ready[w.name] {
			if err := w.prepare(s); err != nil {
				return fmt.Errorf("%s: prepare: %w", s.name, err)
			}
			s.ready[w.name] = true
		}
	}
	for range rounds {
		for i, s := range servers {
			if err := ctx.Err(); err != nil {
				return err
			}
			_ = exec.CommandContext(ctx, "sync").Run() // what others wrote is not to slow this one
			before := s.cpu()
			values, err := w.run(s)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			cpu[i] += s.cpu() - before
			got[i] = append(got[i], values...)
		}
	}
	for i, s := range servers {
		fmt.Printf("%-14s %-13s %12s %12s %6.2fx %9.2f\n", w.name, s.name,
			w.show(w.best(got[i])), w.show(median(got[i])), w.ratio(w.best(got[0]), w.best(got[i])), cpu[i])
	}
	return nil
}

func (w workload) show(v float64) string { return fmt.Sprintf("%.1f %s", v, w.unit) }

func (w workload) best(list []float64) float64 {
	if w.less {
		return slices.Min(list)
	}
	return slices.Max(list)
}

// ratio says how many times better mica is.
func (w workload) ratio(mica, other float64) float64 {
	if w.less {
		return other / mica
	}
	return mica / other
}

func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	return s[len(s)/2]
}

func workloads(tags int) []workload {
	var all []workload
	for _, size := range []struct {
		name  string
		bytes int
	}{{"1m", 1 << 20}, {"100m", 100 << 20}} {
		for _, clients := range []int{2, 16} {
			count := 128
			if size.bytes > 1<<20 {
				count = max(4, clients)
			}
			b := bulk{size: size.bytes, clients: clients, count: count}
			name := fmt.Sprint(size.name, "-", clients)
			all = append(all,
				workload{name: "push" + name, about: fmt.Sprintf("%d blobs of %s pushed by %d clients", count, size.name, clients), unit: "MB/s", run: b.push},
				workload{name: "pull" + name, about: fmt.Sprintf("blobs of %s pulled by %d clients", size.name, clients), unit: "MB/s", prepare: b.prepare, run: b.pull})
		}
	}
	m := manifests{tags: tags}
	return append(all,
		workload{name: "manifest-p50", about: "GET of a manifest by tag, one after another, median", unit: "µs", less: true, prepare: m.prepare, run: m.get(0.5, 1)},
		workload{name: "manifest-p99", about: "the same, of 100 the slowest", unit: "µs", less: true, prepare: m.prepare, run: m.get(0.99, 1)},
		workload{name: "manifest16-p50", about: "the same by 16 clients, median", unit: "µs", less: true, prepare: m.prepare, run: m.get(0.5, 16)},
		workload{name: "manifest16-p99", about: "the same by 16 clients, of 100 the slowest", unit: "µs", less: true, prepare: m.prepare, run: m.get(0.99, 16)},
		workload{name: "tags", about: fmt.Sprintf("list of %d tags", tags), unit: "µs", less: true, prepare: m.prepareTags, run: m.list},
	)
}

// A bulk moves blobs.
type bulk struct{ size, clients, count int }

var unique atomic.Uint64

// each lets the clients do n things.
func each(clients, n int, addr string, do func(c *client, i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, clients)
	for range clients {
		wg.Go(func() {
			c := &client{addr: addr}
			defer c.close()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(c, i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// rate calls f and gives MB/s.
func (b bulk) rate(n int, f func() error) ([]float64, error) {
	start := time.Now()
	err := f()
	return []float64{float64(n) * float64(b.size) / 1e6 / time.Since(start).Seconds()}, err
}

// push pushes blobs that nobody has: a number, and bytes that they share.
func (b bulk) push(s *server) ([]float64, error) {
	rest := b.fixed()[8:]
	heads := make([][]byte, b.count)
	digests := make([]digest.Digest, b.count)
	for i := range heads {
		heads[i] = binary.LittleEndian.AppendUint64(nil, unique.Add(1)+uint64(time.Now().UnixNano()))
		h := digest.Canonical.Hash()
		_, _ = h.Write(heads[i]) // a hash does not fail
		_, _ = h.Write(rest)
		digests[i] = digest.NewDigest(digest.Canonical, h)
	}
	return b.rate(b.count, func() error {
		return each(b.clients, b.count, s.addr, func(c *client, i int) error {
			return c.pushBlob("push", digests[i], heads[i], rest)
		})
	})
}

func (b bulk) repo() string { return fmt.Sprintf("pull/size%d", b.size) }

func (b bulk) prepare(s *server) error {
	data := b.fixed()
	return (&client{addr: s.addr}).pushBlob(b.repo(), digest.FromBytes(data), data)
}

// fixed is the blob that is pulled.
func (b bulk) fixed() []byte {
	data := make([]byte, b.size)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(data)
	return data
}

func (b bulk) pull(s *server) ([]float64, error) {
	d := digest.FromBytes(b.fixed())
	n := b.count * 4
	return b.rate(n, func() error {
		return each(b.clients, n, s.addr, func(c *client, _ int) error {
			return c.want(200, "GET", "/v2/"+b.repo()+"/blobs/"+d.String(), "")
		})
	})
}

// manifests are small requests.
type manifests struct{ tags int }

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// push pushes a manifest of ten layers under tags.
func (m manifests) push(c *client, repo string, tags ...string) error {
	raw := []byte(`{"schemaVersion":2,"mediaType":"` + manifestType + `","config":`)
	for i := range 11 {
		data := fmt.Appendf(nil, "blob %d", i)
		d := digest.FromBytes(data)
		if err := c.pushBlob(repo, d, data); err != nil {
			return err
		}
		if i == 1 {
			raw = append(raw, `,"layers":[`...)
		} else if i > 1 {
			raw = append(raw, ',')
		}
		kind := "application/vnd.oci.image.layer.v1.tar+gzip"
		if i == 0 {
			kind = "application/vnd.oci.image.config.v1+json"
		}
		raw = fmt.Appendf(raw, `{"mediaType":%q,"digest":%q,"size":%d}`, kind, d, len(data))
	}
	return m.tag(c, repo, append(raw, `]}`...), tags)
}

// tag pushes the manifest under ten tags at once, where the server knows that, as
// one by one takes zot long.
func (m manifests) tag(c *client, repo string, raw []byte, tags []string) error {
	at := "/v2/" + repo + "/manifests/"
	for part := range slices.Chunk(tags, 10) {
		if len(part) > 1 {
			resp, _, err := c.do("PUT", at+digest.FromBytes(raw).String()+"?tag="+strings.Join(part, "&tag="), manifestType, [][]byte{raw}, false)
			if err != nil {
				return err
			}
			if len(resp.Header["Oci-Tag"]) == len(part) {
				continue
			}
		}
		for _, tag := range part {
			if err := c.want(201, "PUT", at+tag, manifestType, raw); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m manifests) prepare(s *server) error {
	c := &client{addr: s.addr}
	defer c.close()
	return m.push(c, "manifest", "v1")
}

// get gives a quantile of the times of a thousand requests, in microseconds.
func (m manifests) get(quantile float64, clients int) func(*server) ([]float64, error) {
	return func(s *server) ([]float64, error) {
		times := make([]float64, 1000*clients)
		err := each(clients, len(times), s.addr, func(c *client, i int) error {
			start := time.Now()
			err := c.want(200, "GET", "/v2/manifest/manifests/v1", "")
			times[i] = float64(time.Since(start).Nanoseconds()) / 1e3
			return err
		})
		slices.Sort(times)
		return []float64{times[int(quantile*float64(len(times)-1))]}, err
	}
}

func (m manifests) prepareTags(s *server) error {
	c := &client{addr: s.addr}
	defer c.close()
	refs := make([]string, m.tags)
	for i := range refs {
		refs[i] = fmt.Sprintf("v1.%d.%d", i/100, i%100)
	}
	return m.push(c, "tags", refs...)
}

func (m manifests) list(s *server) ([]float64, error) {
	c := &client{addr: s.addr}
	defer c.close()
	var out []float64
	for range 10 {
		start := time.Now()
		if err := c.want(200, "GET", "/v2/tags/tags/list", ""); err != nil {
			return nil, err
		}
		out = append(out, float64(time.Since(start).Nanoseconds())/1e3)
	}
	return out, nil
}
