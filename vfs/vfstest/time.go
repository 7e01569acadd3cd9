package vfstest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/pfs-project/pfs/vfs"
)

// readersBeside: readers of Views see one state each while the writer goes on.
// With the race detector it also finds state that a filesystem keeps to itself.
func readersBeside(c *court) error {
	f, err := c.mount()
	if err != nil {
		return err
	}
	var latest atomic.Pointer[vfs.View]
	publish := func() {
		v := f.view()
		latest.Store(&v)
	}
	publish()
	var stop atomic.Bool
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for range 3 {
		wg.Go(func() {
			for once := true; once || !stop.Load(); once = false {
				if err := c.readTwice(f, *latest.Load()); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	err = c.load(f, 12).run(200, func(step) error {
		publish()
		return nil
	})
	stop.Store(true)
	wg.Wait()
	close(errs)
	return errors.Join(err, <-errs)
}

// readTwice walks one View two times.
func (c *court) readTwice(f *Fold, v vfs.View) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a reader: %v", p)
		}
	}()
	first, err := f.walk(c, v)
	if f.device != nil && absent(err) {
		return nil // a Device has no View: what was listed may be gone
	}
	if err != nil {
		return fmt.Errorf("reader: %w", err)
	}
	second, err := f.walk(c, v)
	if f.device != nil && absent(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reader: %w", err)
	}
	if d := differ(first, second); d != "" && f.folder != nil {
		return fmt.Errorf("one View shows two states: %s", d)
	}
	return nil
}

// absent reports whether err says that a name is gone, or stands for another
// kind of file now.
func absent(err error) bool {
	switch vfs.KindOf(err) {
	case vfs.NotFound, vfs.NotDirectory, vfs.IsDirectory:
		return true
	}
	return false
}

// rounds bounds how often a Timer is asked again at a time that it names.
const rounds = 1000

// workEnds: what a Timer asks for succeeds, also when it is proposed twice, and
// ends; then nothing that was removed is left.
func workEnds(c *court) error {
	f, err := c.mount()
	if err != nil || f.folder == nil {
		return err
	}
	timer, ok := f.folder.(vfs.Timer)
	if !ok {
		return nil
	}
	for round := range 3 {
		if err := c.load(f, 13+uint64(round)).run(150, nil); err != nil {
			return err
		}
		// A leader that is followed by another may propose the same again.
		ops, _ := timer.Due(f.State.View(), f.State.Now())
		for range 2 {
			for _, op := range ops {
				if _, err := f.State.Apply(f.folder, op); err != nil {
					return fmt.Errorf("%v that Due asked for, proposed twice: %w", op.Verb, err)
				}
			}
		}
		if err := f.outlive(timer); err != nil {
			return err
		}
	}
	return nil
}

// outlive lets time pass until the Timer has nothing more to do.
func (f *Fold) outlive(timer vfs.Timer) error {
	for range rounds {
		if err := f.State.Settle(f.folder); err != nil {
			return err
		}
		ops, next := timer.Due(f.State.View(), f.State.Now())
		if len(ops) == 0 && next.IsZero() {
			return nil
		}
		if next.After(f.State.Now()) {
			f.State.Advance(next.Sub(f.State.Now()))
		}
	}
	return fmt.Errorf("Due has had work at %d points of time, and names another", rounds)
}
