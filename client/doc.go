// Package client speaks the HTTP API of PFS.
//
// A Client may be given several nodes of one cluster: a request that fails
// before it was decided goes to the next. Only requests that may be repeated
// are repeated: reads, and writes that carry an idempotency key and a body
// that can be read again. Redirects are never followed for writes.
//
// Errors are *fs.PathError around an [*Error], so errors.Is with fs.ErrNotExist,
// fs.ErrExist and fs.ErrPermission holds, and with the kinds of package vfs.
// A Client is safe for concurrent use.
package client
