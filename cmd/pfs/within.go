package main

import (
	"context"
	"fmt"
	"time"
)

const (
	// startTime is how long a plugin may take to tell what it is, to start and to end:
	// what compiles a module has two minutes of its own for that.
	startTime = 3 * time.Minute
	// endTime is how long calls are waited for that are given up.
	endTime = 10 * time.Second
)

// within runs do until late fires, or until ctx has ended and do has not within
// endTime: a call of a plugin in this process may hang, and nothing ends it then. ended
// reports whether do has; what it has set may be read if so. Otherwise the plugin is
// stuck, and err says why it was left.
func (p *artefact) within(ctx context.Context, late *time.Timer, do func() error) (ended bool, err error) {
	defer late.Stop()
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- do() }() // left alone if it hangs: the program ends
	select {
	case err := <-done:
		return true, err
	case <-late.C:
		p.stuck = true
		return false, fmt.Errorf("a call of the plugin still hangs after %v", time.Since(began).Round(time.Second))
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return true, err
	case <-time.After(endTime):
		p.stuck = true
		return false, ctx.Err()
	}
}
