//go:build plant_earlyack

package cluster

// plantAck plants a bug that the tests must find: a write that is acknowledged
// before it is committed.
const plantAck = true
