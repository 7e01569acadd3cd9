// Package localfs is a directory of the node's own disk, in place: nothing is
// copied, permissions and times are those of the files.
//
// Everything goes through one [os.Root]: no path and no link leads out of the
// directory. A link is answered with a LinkError and followed by the mount
// table inside the tree; one whose target lies outside is shown as a special
// file. Special files, pipes and devices too, are neither read nor written.
//
// A whole file is replaced at once: readers see the old content or the new, and
// it is synced with its directory before the write is acknowledged.
package localfs
