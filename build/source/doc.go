// Package source brings the remote inputs of a build onto this machine: files
// over HTTP, git repositories, and what a user pipes in as context.
//
// A [Client] answers two questions about each source. What is it now
// ([Client.ResolveHTTP], [Client.ResolveGit]): a pinned identity and the
// canonical key under which the build cache knows it. And what is in it
// ([Client.FetchHTTP] with [Client.PlaceHTTP], [Client.CheckoutGit]): files in a
// directory that the caller owns. Requests carry the attributes of an LLB
// source operation as they are.
//
// Everything fetched is kept in the client's cache directory, which any number
// of processes may use at once: bodies are immutable and named by their digest,
// validators and git mirrors are guarded by flock and replaced by rename, and a
// process killed at any point leaves nothing that another would trust. All
// methods may be called concurrently.
//
// Servers and repositories are hostile input. Git runs without the user's
// configuration, hooks, prompts or keys; only http, https, ssh and git
// transports are spoken; submodules obey the same rules; a subdirectory is never
// looked up through a symbolic link. Credentials come from [Secrets] and [SSH]
// alone, reach only the host they are meant for, and appear neither in errors
// nor in the arguments of processes.
package source
