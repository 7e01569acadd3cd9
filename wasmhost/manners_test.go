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
		looks, aside, who := 0, 0, alone
		spent := func() time.Duration {
			began := time.Now()
			p.makeWay(func() company { looks++; return who }, func() { aside++ })
			return time.Since(began)
		}
		want := func(what string, n int, d time.Duration) {
			t.Helper()
			if got := spent(); looks != n || got != d {
				t.Errorf("%s: %d looks, %v; want %d, %v", what, looks, got, n, d)
			}
		}
		p.begin(time.Now())
		time.Sleep(lookTime - 1)
		want("in its first moment", 0, 0)
		time.Sleep(1)
		want("with nobody else", 1, 0)
		who = crowded
		want("right after it has looked", 1, 0)
		time.Sleep(ownTime - lookTime - 1)
		want("in its own time", 2, 0)
		time.Sleep(lookTime)
		want("with others", 3, restTime)
		want("right after it has waited", 3, 0)
		who = beside
		time.Sleep(lookTime)
		want("with others who have processors", 4, 0)
		who = crowded
		time.Sleep(restTime)
		p.rest(func() { time.Sleep(lookTime) })
		want("after a short rest", 5, restTime)
		p.rest(func() { time.Sleep(2 * ownTime) })
		want("after a long one", 5, 0)
		p.begin(time.Now())
		want("in another call", 5, 0)
		p.poor = true
		want("in another call of a poor one", 6, restTime)
		time.Sleep(lookTime)
		want("shortly after its rest", 7, 0)
		if aside != 3 {
			t.Errorf("it stepped aside %d times", aside)
		}
	})
}
