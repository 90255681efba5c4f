// Package server is an OCI registry as an http.Handler.
//
// New joins the distribution protocol (v1.1 with what was added since, and
// docker's search) to a storage.Storage: bytes and an index. NewMemory makes one
// for tests, package storage/files keeps one in a directory.
//
//	srv := httptest.NewServer(server.New(server.NewMemory(), server.Options{}))
//	defer srv.Close()
//	// push to and pull from srv.Listener.Addr()
//
// The handler checks names, digests and manifests, so that a storage sees only
// valid ones. Options say who may do what (Authorize, asked before anything is
// looked up, and Allowed), what cannot be changed (ReadOnly, Immutable), how much
// there may be (Limits, MaxBlob, MaxManifest), and who hears of it (Events).
// ParseRoute reads a request's path for those who wrap the handler.
// Registry.Repository is a content.Store, without HTTP.
//
// Upload URLs carry no query string: some clients drop it. A blob that a manifest
// needs, and a manifest that an index needs, cannot be deleted (409); an index may
// be pushed without all of its manifests.
//
// A client has Options.Idle for each piece of a blob; who serves is to bound the
// rest, with http.Server's ReadHeaderTimeout, IdleTimeout and MaxHeaderBytes.
//
// Handlers and storages are safe for concurrent use. What was acknowledged with
// 201 is kept; a blob or manifest is visible whole or not at all.
//
// Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md
package server
