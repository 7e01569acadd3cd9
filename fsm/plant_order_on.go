//go:build plant_maporder

package fsm

// disordered plants a bug that the tests must find: the time of an Event depends
// on the order of a map.
func disordered(now int64) int64 {
	for i := range map[int64]bool{0: true, 1: true} { // any order
		return now + i
	}
	return now
}
