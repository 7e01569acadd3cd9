// Package memfs is a tree of files, directories and links, folded from the
// log: what package tree offers, with all its verbs and no limits.
//
// It starts with a README and the directories of the setting init_dirs. All
// are ordinary: they can be changed and removed.
package memfs
