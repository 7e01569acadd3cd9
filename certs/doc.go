// Package certs makes the certificates that nodes show each other, and reads
// them.
//
// A cluster has an authority of its own. A node's certificate, signed by it,
// names the node in one URI, pfs://node/<id>; that, and not a host name, is
// what peers look at, since addresses change and ids do not. A certificate of
// the authority without such a URI is not a node's.
package certs
