//go:build !unix

package verbs

import "io/fs"

// inode is not known here; the size and the time have to do.
func inode(fs.FileInfo) string { return "" }

// notEmpty cannot be told here from other failures.
func notEmpty(error) bool { return false }
