package bench

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/pfs-project/pfs/client"
)

// piece is what the writer of a stream sends at once.
const piece = 4096

// fanOut has one writer of a stream and one reader fewer than clients, spread
// over the nodes. A request is a piece written and read by every reader, so its
// latency is that of the slowest.
func fanOut(ctx context.Context, s *stage) error {
	for _, n := range s.Clients {
		readers := max(1, n-1)
		f, err := s.fan(ctx, readers)
		if err != nil {
			return err
		}
		if err := s.measure(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// fan is the load of one number of readers.
func (s *stage) fan(ctx context.Context, readers int) (Case, error) {
	const mount = "/streamfs"
	if _, err := s.api.Stat(ctx, mount); err != nil {
		return Case{}, fmt.Errorf("a streamfs is wanted: %w", err)
	}
	path := mount + "/bench-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	v := newValues(piece)
	o := s.Options
	o.Clients = 1
	ctx, cancel := context.WithCancel(ctx)
	var w witness
	var running sync.WaitGroup
	heard := make(chan error, readers)
	end := func(ctx context.Context) error {
		cancel()
		running.Wait()
		if err := s.api.Remove(ctx, path); err != nil {
			return err
		}
		return w.verdict(ctx)
	}
	before := func(ctx context.Context) error {
		if _, err := s.api.WriteFile(ctx, path, v.write(nil, 0, 0)); err != nil {
			return err
		}
		for r := range readers {
			one, err := client.New(client.Config{URLs: s.server.URLs[r%len(s.server.URLs):][:1], Token: s.server.Token, TLS: s.server.TLS})
			if err != nil {
				return err
			}
			running.Go(func() { defer one.Close(); hear(ctx, one, path, v, &w, heard) })
		}
		return all(ctx, heard, readers)
	}
	written, buf := 0, []byte(nil)
	op := func(ctx context.Context, _, _ int) error {
		written++
		buf = v.write(buf, 0, written)
		if _, err := s.api.WriteFile(ctx, path, buf); err != nil {
			return err
		}
		return all(ctx, heard, readers)
	}
	spec := o.Spec(fmt.Sprintf("stream to %s", count(readers, "reader")), int64(piece*readers), op)
	return Case{Spec: spec, Before: func(context.Context) error { return before(ctx) }, After: end}, nil
}

// hear reads a stream piece by piece, and says so after each.
func hear(ctx context.Context, one *client.Client, path string, v values, w *witness, heard chan<- error) {
	err := func() error {
		var body io.ReadCloser
		err := arrives(ctx, func() (err error) { // a follower may hear of the stream later
			body, _, err = one.Follow(ctx, path, "oldest")
			return err
		})
		if err != nil {
			return err
		}
		defer body.Close()
		buf := make([]byte, piece)
		for n := 0; ; n++ {
			if _, err := io.ReadFull(body, buf); err != nil {
				return err
			}
			got, err := v.read(buf, 0)
			if err != nil {
				return w.saw(err)
			}
			if got != n {
				return w.saw(fmt.Errorf("piece %d came where piece %d was next", got, n))
			}
			select {
			case heard <- nil:
			case <-ctx.Done():
				return nil
			}
		}
	}()
	if err != nil && ctx.Err() == nil {
		select {
		case heard <- err:
		case <-ctx.Done():
		}
	}
}

// all waits until every reader has heard the next piece.
func all(ctx context.Context, heard <-chan error, readers int) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	for got := range readers {
		select {
		case err := <-heard:
			if err != nil {
				return fmt.Errorf("a reader ended: %w", err)
			}
		case <-late.C:
			return fmt.Errorf("%d of %d readers have not heard a piece after %s", readers-got, readers, patience)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
