// Package remote is a Device whose files are another server's, reached through
// its HTTP API: a mount that lives on another node of this cluster, or a part
// of another cluster.
//
// It keeps nothing: each call is one request, as fresh as the server's answer.
// Errors keep the kind that the server named, so that a file that is not there
// is NotFound here too.
package remote
