//go:build race

package cluster

// pace is how many times longer all takes under the race detector, at least.
const pace = 4
