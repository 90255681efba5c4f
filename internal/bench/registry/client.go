package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"
)

// A client has one connection, which it makes again when the server closed it.
type client struct {
	addr string
	conn *net.TCPConn
	r    *bufio.Reader
}

// do sends a request and gives the answer; the body is read, or drained without
// being looked at.
func (c *client) do(method, path, contentType string, body [][]byte, drain bool) (*http.Response, []byte, error) {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			return nil, nil, err
		}
		c.conn = conn.(*net.TCPConn)
		c.r = bufio.NewReaderSize(c.conn, 4<<10)
	}
	resp, raw, err := c.exchange(method, path, contentType, body, drain)
	if err != nil || resp.Close {
		c.close()
	}
	return resp, raw, err
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *client) exchange(method, path, contentType string, body [][]byte, drain bool) (*http.Response, []byte, error) {
	var h bytes.Buffer
	fmt.Fprintf(&h, "%s %s HTTP/1.1\r\nHost: %s\r\nAccept: "+manifestType+", */*\r\n", method, path, c.addr)
	if contentType != "" {
		fmt.Fprintf(&h, "Content-Type: %s\r\n", contentType)
	}
	size := 0
	for _, part := range body {
		size += len(part)
	}
	fmt.Fprintf(&h, "Content-Length: %d\r\n\r\n", size)
	bufs := append(net.Buffers{h.Bytes()}, body...)
	if _, err := bufs.WriteTo(c.conn); err != nil {
		return nil, nil, err
	}
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return nil, nil, err
	}
	if drain && resp.ContentLength >= 0 {
		return resp, nil, c.drain(resp.ContentLength)
	}
	raw, err := io.ReadAll(resp.Body)
	return resp, raw, err
}

// drain has the kernel throw n bytes away.
func (c *client) drain(n int64) error {
	have := min(n, int64(c.r.Buffered()))
	if _, err := c.r.Discard(int(have)); err != nil {
		return err
	}
	n -= have
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return err
	}
	for n > 0 {
		var got int
		var rerr error
		err := raw.Read(func(fd uintptr) bool {
			got, rerr = discard(int(fd), int(min(n, 1<<20)))
			return !errors.Is(rerr, syscall.EAGAIN)
		})
		switch {
		case err != nil:
			return err
		case rerr != nil:
			return rerr
		case got == 0:
			return io.ErrUnexpectedEOF
		}
		n -= int64(got)
	}
	return nil
}

// pushBlob pushes in two requests, as clients do.
func (c *client) pushBlob(repo string, d digest.Digest, data ...[]byte) error {
	resp, _, err := c.do("POST", "/v2/"+repo+"/blobs/uploads/", "", nil, false)
	if err != nil {
		return err
	}
	at := resp.Header.Get("Location")
	if i := strings.Index(at, "/v2/"); i >= 0 {
		at = at[i:]
	}
	mark := "?"
	if strings.Contains(at, "?") {
		mark = "&"
	}
	return c.want(201, "PUT", at+mark+"digest="+d.String(), "application/octet-stream", data...)
}

// want fails unless the status is the one.
func (c *client) want(status int, method, path, contentType string, body ...[]byte) error {
	resp, raw, err := c.do(method, path, contentType, body, method == "GET")
	if err == nil && resp.StatusCode != status {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, raw)
	}
	return err
}
