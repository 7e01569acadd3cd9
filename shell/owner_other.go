//go:build !unix

package shell

// ownedByMe is nothing where files have no such owners.
func ownedByMe() any { return nil }
