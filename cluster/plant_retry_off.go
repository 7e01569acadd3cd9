//go:build !plant_retry

package cluster

// plantRetry plants a bug that the tests must find: a write whose outcome is unknown
// is tried again, whether it has a key or not.
const plantRetry = false
