package wasmhost

import (
	"testing"
	"testing/synctest"
	"time"
)

// Who computes for long looks around now and then, and lets others go first where they
// wait; who has just begun does not.
func TestMakesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		looks, crowded := 0, false
		spent := func() time.Duration {
			began := time.Now()
			p.makeWay(func() bool { looks++; return crowded })
			return time.Since(began)
		}
		want := func(what string, n int, d time.Duration) {
			t.Helper()
			if got := spent(); looks != n || got != d {
				t.Errorf("%s: %d looks, %v; want %d, %v", what, looks, got, n, d)
			}
		}
		p.begin(time.Now())
		time.Sleep(ownTime - 1)
		want("in its own time", 0, 0)
		time.Sleep(1)
		want("with nobody else", 1, 0)
		crowded = true
		want("right after it has looked", 1, 0)
		time.Sleep(lookTime)
		want("with others", 2, lookTime)
		want("right after it has waited", 2, 0)
		time.Sleep(lookTime)
		p.rest(func() { time.Sleep(lookTime) })
		want("after a short rest", 3, lookTime)
		p.rest(func() { time.Sleep(2 * ownTime) })
		want("after a long one", 3, 0)
		p.begin(time.Now())
		want("in another call", 3, 0)
	})
}
