package vfs

import "time"

const leastCall = time.Millisecond

// Bounds is what a host gives plugins that ask for nothing, and what they may ask for.
type Bounds struct {
	Memory, LeastMemory, MostMemory int64 // bytes; Memory by default
	Call, MostCall                  time.Duration
	MostInstances                   int // 1 by default
}

// Fill puts the defaults into what l leaves open. Invalid says which limit cannot be
// had. Idle is not looked at.
func (b Bounds) Fill(l Limits) (Limits, error) {
	if l.Memory == 0 {
		l.Memory = b.Memory
	}
	if l.Call == 0 {
		l.Call = b.Call
	}
	if l.Instances == 0 {
		l.Instances = 1
	}
	switch {
	case l.Memory < b.LeastMemory || l.Memory > b.MostMemory:
		return l, Invalid.Withf("limits: memory must be %d to %d bytes", b.LeastMemory, b.MostMemory)
	case l.Call < leastCall || l.Call > b.MostCall:
		return l, Invalid.Withf("limits: call must be %v to %v", leastCall, b.MostCall)
	case l.Instances < 1 || l.Instances > b.MostInstances:
		return l, Invalid.Withf("limits: instances must be 1 to %d", b.MostInstances)
	}
	return l, nil
}
