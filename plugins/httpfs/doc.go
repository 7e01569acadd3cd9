// Package httpfs serves a directory of the tree as web pages, on a port of its
// own on every node: listings, files with ranges and conditions, a README below
// its listing, a directory as a zip. The mount itself is one file, which says
// how the server fares.
//
// What is served is shown and never run: no page has a script, and content of
// the tree is sandboxed. Nothing is changed through it, and a file whose read
// takes something away is not read.
package httpfs
