// Package kvfs keeps keys and values as files below /keys, folded from the
// log: what package tree offers, limited to that directory, and keys that end.
//
// A slash in a key makes real directories, by themselves. Nothing outside
// /keys can be made, changed or removed, and neither can /keys itself.
//
// A key that was written with a time to live is removed by an Event that the
// leader proposes when it is over: until then every node has it, and from then
// on none has, however their clocks go. Its end belongs to the file and not to
// the name: it follows a rename, and goes with the file.
package kvfs
