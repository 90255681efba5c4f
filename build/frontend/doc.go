// Package frontend runs BuildKit's Dockerfile front end inside this process.
//
// Solve is the one door: it hands the front end a client of its own gateway
// interface (no gRPC, no session), which reads files and resolves images
// through a Backend, and gives back what is to be built: one graph edge and
// one image config for each platform. Types of the front end do not leave this
// package.
package frontend
