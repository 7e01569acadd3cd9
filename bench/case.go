package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pfs-project/pfs/bench/load"
)

// Case is a load with what must be there before it and what must be true after
// it. A nil func asks for nothing.
type Case struct {
	Spec   load.Spec
	Before func(ctx context.Context) error
	After  func(ctx context.Context) error
	// Between is called before each turn of any side of a comparison, unmeasured,
	// to put away what this side's last turn left.
	Between func(ctx context.Context) error
}

// settled is how long the disk is left alone between two turns, after all that
// was written is on it.
const settled = 100 * time.Millisecond

// ErrLost is in the error of a run whose server lost what it had acknowledged,
// or answered with what was never written. Such a run has no figures.
var ErrLost = errors.New("the server broke its word")

// Run measures the Case in so many rounds, and returns them together; or an
// error, and no figures, if After finds something wrong or more requests of a
// round failed than were answered.
func (c Case) Run(ctx context.Context, rounds int) (load.Figures, error) {
	var turns []load.Figures
	err := around(ctx, []Case{c}, func() error {
		for range max(rounds, 1) {
			f, err := c.Spec.Run(ctx)
			if err == nil {
				err = few(f)
			}
			if err != nil {
				return err
			}
			turns = append(turns, f)
		}
		return nil
	})
	if err != nil {
		return load.Figures{}, err
	}
	return load.Together(turns), nil
}

// Compare measures the first Case against each other one, in turns. It is an error,
// without figures, if After finds something wrong or a turn has more errors than
// load.Versus takes.
func Compare(ctx context.Context, rounds int, cases ...Case) (load.Comparison, error) {
	var all load.Comparison
	err := around(ctx, cases, func() error {
		var sides []load.Spec
		for _, c := range cases {
			sides = append(sides, c.Spec)
		}
		var err error
		all, err = load.Versus(ctx, max(rounds, 1), func(ctx context.Context) error { return settle(ctx, cases) }, sides...)
		return err
	})
	if err != nil {
		return load.Comparison{}, err
	}
	return all, nil
}

// settle ends what one turn would leave to the next: what is written and not on
// the disk would be written in the next one's time.
func settle(ctx context.Context, cases []Case) error {
	for _, c := range cases {
		if c.Between != nil {
			if err := c.Between(ctx); err != nil {
				return fmt.Errorf("%s: between the turns: %w", c.Spec.Name, err)
			}
		}
	}
	flush()
	return sleep(ctx, settled)
}

// sleep waits for d, or until ctx ends, which is its error.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func few(f load.Figures) error {
	if f.Errors > f.Requests {
		return fmt.Errorf("%s: %d requests failed beside %d answered: %s", f.Name, f.Errors, f.Requests, f.Error)
	}
	return nil
}

func around(ctx context.Context, cases []Case, do func() error) error {
	for _, c := range cases {
		if c.Before != nil {
			if err := c.Before(ctx); err != nil {
				return fmt.Errorf("%s: before the load: %w", c.Spec.Name, err)
			}
		}
	}
	err := do()
	for _, c := range cases {
		if c.After == nil || ctx.Err() != nil {
			continue
		}
		// What is missing says more than that requests failed.
		if wrong := c.After(ctx); wrong != nil {
			err = errors.Join(fmt.Errorf("%s: %w", c.Spec.Name, wrong), err)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err() // what could not be asked any more is not lost
	}
	return err
}

// witness keeps the first answer that was wrong.
type witness struct {
	mu  sync.Mutex
	err error
}

// saw keeps err, unless it is nil, and returns it.
func (w *witness) saw(err error) error {
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.err == nil {
			w.err = fmt.Errorf("%w: %w", ErrLost, err)
		}
	}
	return err
}

func (w *witness) verdict(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// each runs do for 0 to n-1, a few at once; each number belongs to one of the
// workers alone, number i to worker i modulo workers. The first error ends it.
func each(ctx context.Context, n, workers int, do func(ctx context.Context, worker, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for w := range min(n, max(workers, 1)) {
		wg.Go(func() {
			for i := w; i < n && ctx.Err() == nil; i += max(workers, 1) {
				if err := do(ctx, w, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
