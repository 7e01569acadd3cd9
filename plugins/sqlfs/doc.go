// Package sqlfs keeps a tree of files in a SQL database.
//
// Table files has the columns of the compatible contract (path, is_dir, mode,
// size, mod_time, data) and a few more. Content of up to inlineMax bytes is in
// the row. Longer content is in file_blocks under a number that file_contents
// lists; it is written there piece by piece and becomes that of the file in one
// transaction. A missing block is a hole.
//
// Invariants:
//
//   - A file shows whole contents only: those that were written in one go are
//     there from first byte to last, or not at all.
//   - What is in file_contents with a time in expires is no file's any more, or
//     not yet: it is kept until then, for those who still read or write it, and
//     swept after.
//   - A row's parent is the id of the directory that its path lies in.
package sqlfs
