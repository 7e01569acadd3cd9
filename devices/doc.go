// Package devices runs the Devices of one node: it starts those that the mount
// table wants here, tries again what failed, and ends what the table no longer
// has.
//
// Invariants:
//
//   - A Device that is slow, fails or panics holds up no other, and never the
//     log.
//   - A Device is closed once its mount is gone from the table and the calls
//     under way have ended; a call that comes later finds it down.
//   - What starts here is stopped before Run returns, unless it is in the hands
//     of the system and cannot be.
package devices
