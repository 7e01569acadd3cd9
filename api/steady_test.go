package api

import (
	"testing"
	"testing/synctest"
	"time"
)

// slowWriter takes its time for each piece.
type slowWriter time.Duration

func (s slowWriter) Write(b []byte) (int, error) {
	<-time.After(time.Duration(s))
	return len(b), nil
}

// A client that takes next to nothing is given up; one that is slow is not.
func TestSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for pause, fails := range map[time.Duration]bool{10 * time.Second: true, 100 * time.Millisecond: false} {
			n, err := (&steady{w: slowWriter(pause)}).Write(make([]byte, 8<<20))
			if (err != nil) != fails || (n == 8<<20) == fails {
				t.Errorf("%v for 16 KiB: %d bytes, %v", pause, n, err)
			}
		}
	})
}
