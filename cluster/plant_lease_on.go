//go:build plant_leaseread

package cluster

// plantLease plants a bug that the tests must find: a leader that answers
// reads without asking a quorum.
const plantLease = true
