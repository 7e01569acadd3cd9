// Package proxyfs is the files of another server, PFS or AGFS, through its HTTP
// API.
//
// Everything is passed on by package remote. What is here: which servers, their
// health when the mount starts, and the control file /reload, which takes a new
// client into use once it has found its server well. A cluster is not mounted
// into itself, and a request that comes back to a cluster is refused there.
package proxyfs
