// Package dockerconfig reads and changes docker's config.json: credentials of
// registries, wherever they are kept (the file, a credential helper,
// DOCKER_AUTH_CONFIG), proxies, HTTP headers and default formats.
//
// Load reads the file once; Config.Credential then finds a host's credential,
// Store and Erase change it as docker login and logout do. What else is in the
// file is kept as it is.
//
// Errors never contain a credential. A Config is safe for concurrent use.
//
// Sources: https://docs.docker.com/reference/cli/docker/#docker-cli-configuration-file-configjson-properties,
// https://github.com/docker/docker-credential-helpers.
package dockerconfig
