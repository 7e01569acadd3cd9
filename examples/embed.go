// Package examples has the plugins in the directories beside this file, as they
// are: "pfs plugin new" makes projects of them. What make has built is not in it.
package examples

import "embed"

// Files are the sources, by language.
//
//go:embed */Makefile */*.md */*.c */*.h */*.rs */*.py */*/*.go
var Files embed.FS
