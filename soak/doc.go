// Package soak hurts clusters of real PFS processes while seeded clients use
// them, and checks every answer against the log.
//
// A cluster lives for many rounds. In each, the clients run, one fault comes
// and goes, and then package history judges what the clients saw: registers and
// compare-and-swap by porcupine and by the log, queues and trees by the log. A
// round counts only if its fault was there and at least a hundred operations
// were acknowledged while it was.
//
// The short form runs with the other tests, PFS_SOAK=1 the long one; see
// docs/testing.md. It needs Linux, and root for the faults of disks.
package soak
