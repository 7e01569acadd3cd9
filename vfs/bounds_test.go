package vfs

import (
	"testing"
	"time"
)

// What a plugin may have: the default where it asks for nothing, and never more than
// the host has.
func TestBounds(t *testing.T) {
	b := Bounds{Memory: 20, LeastMemory: 10, MostMemory: 30, Call: 2 * time.Second, MostCall: 3 * time.Second, MostInstances: 4}
	for _, c := range []struct {
		ask, want Limits
		ok        bool
	}{
		{Limits{}, Limits{Memory: 20, Call: 2 * time.Second, Instances: 1}, true},
		{Limits{Memory: 10, Call: time.Millisecond, Instances: 4, Idle: 1}, Limits{Memory: 10, Call: time.Millisecond, Instances: 4, Idle: 1}, true},
		{Limits{Memory: 30, Call: 3 * time.Second}, Limits{Memory: 30, Call: 3 * time.Second, Instances: 1}, true},
		{ask: Limits{Memory: 9}}, {ask: Limits{Memory: 31}}, {ask: Limits{Memory: -1}},
		{ask: Limits{Call: 1}}, {ask: Limits{Call: 3*time.Second + 1}}, {ask: Limits{Call: -1}},
		{ask: Limits{Instances: -1}}, {ask: Limits{Instances: 5}},
	} {
		switch got, err := b.Fill(c.ask); {
		case c.ok && (err != nil || got != c.want):
			t.Errorf("%+v: %+v, %v", c.ask, got, err)
		case !c.ok && KindOf(err) != Invalid:
			t.Errorf("%+v: %v, want Invalid", c.ask, err)
		}
	}
}
