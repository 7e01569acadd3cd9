//go:build !plant_minindex

package cluster

// plantIndex plants a bug that the tests must find: a read does not wait for the
// index that it asks for.
const plantIndex = false
