// Package tree folds directories, files and symbolic links into a [vfs.Tx].
// memfs and kvfs are this filesystem with different [Options].
//
// Keys of a mount's state, integers eight bytes, big endian:
//
//	i <id>             the inode
//	e <parent> <name>  a directory entry: the id and what it names
//	c <content> ...    extents, see package content
//	o <id>             an orphan: a detached directory, or content to be freed
//	n                  the last id that was given
//
// Invariants:
//
//   - Every inode but the root has one entry, in the directory it names as its
//     parent, or is an orphan or below one.
//   - Ids rise and are never given twice, so a handle never meets another file.
//   - Renaming or removing a tree changes a fixed number of rows whatever its
//     size; what a removed tree held is freed by Reap Ops of bounded size.
//   - A version is the seq of the Event that last changed the content, the
//     attributes, the name, or, in a directory, the entries.
package tree
