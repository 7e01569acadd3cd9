// Package s3fs is a bucket of an S3 server, or what lies below a prefix of it,
// as a tree. Every node talks to the server itself.
//
// A file is one object. A directory is an object whose key ends with a slash,
// or any prefix that other objects have. Objects are replaced as a whole and at
// once: what is written is under a key only when all of it is there, whatever
// its length, and readers have one content from the first byte to the last.
// Conditions are decided by the server.
//
// Content passes through in parts of bounded size. Nothing of it is kept.
package s3fs
