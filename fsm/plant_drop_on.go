//go:build plant_dropack

package fsm

// plantDrop plants a bug that the tests must find: every few Events one is
// acknowledged and does nothing.
const plantDrop = true
