// Package memdisk is a disk in memory for tests: its power can be cut, any of
// its calls can be made to fail, and its syncs to take long.
//
// A power cut keeps what was synced. Of the rest it keeps each block of 4 KiB
// of a file with a probability, so that writes are torn and come out of order,
// and of each directory a beginning of the changes since it was synced: names
// are journalled in order by every filesystem that PFS runs on, and a rename
// within a directory is one change. A file that was synced but whose name was
// not may be gone.
package memdisk
