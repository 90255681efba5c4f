// Package server is an OCI registry as an http.Handler.
//
// New joins the distribution protocol (v1.1 with what was added since) to a
// Backend, which keeps blobs, uploads, manifests and tags: NewMemory for tests,
// OpenDir for files.
//
//	srv := httptest.NewServer(server.New(server.NewMemory(), server.Options{}))
//	defer srv.Close()
//	// push to and pull from srv.Listener.Addr()
//
// The handler checks names, digests and manifests, so that a backend sees only
// valid ones; who may do what is Options.Authorize's matter, asked before
// anything else. Upload URLs carry no query string: some clients drop it.
//
// Handlers and backends are safe for concurrent use. What was acknowledged with
// 201 is kept; a blob or manifest is visible whole or not at all.
//
// Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md
package server
