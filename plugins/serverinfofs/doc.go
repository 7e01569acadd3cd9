// Package serverinfofs shows what the server knows of itself as files. Each
// node answers for itself, from the moment at which it started the mount.
//
// A file is rendered when it is asked for and kept for a second, so that a read
// that follows a stat gives as many bytes as the stat said.
package serverinfofs
