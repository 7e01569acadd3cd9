//go:build plant_dupdeliver

package queuefs

// plantDup plants a bug that the tests must find: every few messages one is
// given and stays.
const plantDup = true
