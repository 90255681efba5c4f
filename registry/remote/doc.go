// Package remote is a client of container registries: what docker pull, push
// and login need, over the OCI distribution protocol.
//
// A Client knows credentials and hosts; Client.Repository gives one repository,
// which is a content.Store: Resolve a tag, Fetch and Push blobs and manifests,
// Tag, and Mount blobs of other repositories of the same registry. With
// content.Copy images move between it and any other store:
//
//	c := remote.New(remote.Options{UserAgent: "mytool/1.0"})
//	root, err := content.CopyName(ctx, store, name, c.Repository(r), r.Identifier(), content.CopyOptions{})
//
// Blobs and manifests are verified while they are read. A download whose
// connection breaks goes on where it stopped; requests that a registry answers
// with 429 or 5xx are repeated a bounded number of times, as Retry-After asks.
//
// Credentials go to the host they belong to and to the token server it names,
// nowhere else: not along with redirects, not into errors. Plain http is spoken
// only with loopback addresses and hosts that Options.Insecure lists.
//
// Client and Repository are safe for concurrent use.
//
// Sources: https://github.com/opencontainers/distribution-spec (v1.1),
// https://distribution.github.io/distribution/spec/auth/,
// https://docs.docker.com/engine/security/certificates/.
package remote
