package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What does not come to an end is left when its time is over, or soon after whoever
// waits has gone; what does is told, also then.
func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		defer close(hung)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, c := range []struct {
			takes time.Duration // 0: for ever
			leave bool
			ended bool
			want  string
		}{
			{takes: time.Second, ended: true, want: "its own"},
			{takes: time.Minute + time.Second, want: "still hangs after 1m0s"},
			{want: "still hangs after 1m0s"},
			{takes: endTime - time.Second, leave: true, ended: true, want: "its own"},
			{leave: true, want: context.Canceled.Error()},
		} {
			if c.leave {
				cancel()
			}
			p := &artefact{}
			ended, err := p.within(ctx, time.NewTimer(time.Minute), func() error {
				if c.takes == 0 {
					<-hung
				}
				time.Sleep(c.takes)
				return errors.New("its own")
			})
			if ended != c.ended || p.stuck == c.ended || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: ended %v, stuck %v, %v", c, ended, p.stuck, err)
			}
		}
	})
}
