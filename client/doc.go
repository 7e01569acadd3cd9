// Package client speaks the HTTP API of PFS.
//
// A Client may be given several nodes of one cluster: a request that failed
// goes to the next, and reads see the Client's own writes on any of them. Only
// requests that may be repeated are repeated: reads, and changes whose body can
// be read again, under an idempotency key that every one of them carries. What
// is read from a stream that cannot seek is sent once, though to the next node
// where one takes no connection. Redirects are never followed for changes.
//
// Content is streamed both ways through small buffers, and content that was cut
// off is an error, never a short file.
//
// Errors are *fs.PathError around an [*Error], what a node answered, or an
// [*Unreachable]. errors.Is holds for fs.ErrNotExist, fs.ErrExist and
// fs.ErrPermission, for the kinds of package vfs, and for [ErrUnknown] where a
// change may or may not have been applied.
//
// Beside the calls of the API there are what programs make of them: [Writer] and
// [Appender], [Handle], [Client.Work] on a queue, [Tail] of a stream,
// [Client.Update], [Client.Watch] and [Client.FS].
//
// A Client is safe for concurrent use.
package client
