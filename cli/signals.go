package cli

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
)

// heldKey is where a context has how many hold back SIGINT.
type heldKey struct{}

// Signalled returns a context that SIGINT and SIGTERM end, until stop; a second one
// ends the program at once.
func Signalled(ctx context.Context) (_ context.Context, stop context.CancelFunc) {
	held := new(atomic.Int32)
	ctx, cancel := context.WithCancel(context.WithValue(ctx, heldKey{}, held))
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer cancel()
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				if s != os.Interrupt || !InterruptHeld(ctx) {
					return
				}
			}
		}
	}()
	return ctx, cancel
}

// HoldInterrupt has SIGINT not end the command until release: a program that it runs
// at the terminal hears it, too, and answers it in its own way. The program itself
// starts with what SIGINT does by default.
func HoldInterrupt(ctx context.Context) (release func()) {
	held, ok := ctx.Value(heldKey{}).(*atomic.Int32)
	if !ok {
		return func() {}
	}
	held.Add(1)
	return sync.OnceFunc(func() { held.Add(-1) })
}

// InterruptHeld reports whether SIGINT is held back under ctx.
func InterruptHeld(ctx context.Context) bool {
	held, ok := ctx.Value(heldKey{}).(*atomic.Int32)
	return ok && held.Load() > 0
}
