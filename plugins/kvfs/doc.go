// Package kvfs keeps keys and values as files below /keys, folded from the
// log: what package tree offers, limited to that directory.
//
// A slash in a key makes real directories, by themselves. Nothing outside
// /keys can be made, changed or removed, and neither can /keys itself.
package kvfs
