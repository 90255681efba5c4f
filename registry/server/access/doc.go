// Package access says who may do what in a registry, and sets the rules of its life: a
// Config is read from a TOML file, with the users of an htpasswd file, and a Guard
// gives the hooks of server.Options from it. Both files are read again when they
// change; one that cannot be understood leaves the old rules in force.
package access
