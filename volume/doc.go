// Package volume is the disk under a node: how much of it is free, what to do
// with a write that finds no space, and whether it is slow or stands still.
//
// Invariants:
//
//   - A write that found no space is tried again, never reported, until there
//     is space or the Volume is closed: who writes through FS sees a slow disk,
//     not a full one.
//   - An error of a sync is never tried again: what the system dropped then it
//     would not report twice.
package volume
