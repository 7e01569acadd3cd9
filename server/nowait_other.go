//go:build !unix

package server

// openNoWait is for systems that have pipes in directories.
const openNoWait = 0
