//go:build !race

package cluster

const pace = 1
