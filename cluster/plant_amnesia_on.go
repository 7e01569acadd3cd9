//go:build plant_amnesia

package cluster

// plantAmnesia plants a bug that the tests must find: a node whose directory
// was wiped votes at once under its old name.
const plantAmnesia = true
