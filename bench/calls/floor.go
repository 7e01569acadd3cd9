package calls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"time"
)

// Floor is what this machine takes for a question to somebody else that asks nothing:
// no plugin outside of the server can answer sooner.
type Floor struct {
	What string  `json:"what"`
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
}

// Floors measures a byte to another process and back, and an empty HTTP request to
// a server of this process and back, each for that long.
func Floors(ctx context.Context, each time.Duration) ([]Floor, error) {
	process, err := pipeFloor(ctx, each)
	if err != nil {
		return nil, fmt.Errorf("a byte to another process and back: %w", err)
	}
	web, err := httpFloor(ctx, each)
	if err != nil {
		return nil, fmt.Errorf("an HTTP request and back: %w", err)
	}
	return []Floor{process, web}, nil
}

// turns times f until the time is over.
func turns(ctx context.Context, what string, each time.Duration, f func() error) (Floor, error) {
	var took []time.Duration
	for until := time.Now().Add(each); len(took) == 0 || time.Now().Before(until); {
		if err := ctx.Err(); err != nil {
			return Floor{}, err
		}
		began := time.Now()
		if err := f(); err != nil {
			return Floor{}, err
		}
		took = append(took, time.Since(began))
	}
	fl := Floor{What: what}
	fl.P50, fl.P99 = quantiles(took)
	return fl, nil
}

// pipeFloor asks cat, which POSIX has on every Unix.
func pipeFloor(ctx context.Context, each time.Duration) (_ Floor, err error) {
	c := exec.CommandContext(ctx, "cat")
	in, err := c.StdinPipe()
	if err != nil {
		return Floor{}, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return Floor{}, err
	}
	if err := c.Start(); err != nil {
		return Floor{}, err
	}
	b := make([]byte, 1)
	f, err := turns(ctx, "a byte to another process and back", each, func() error {
		if _, err := in.Write(b); err != nil {
			return err
		}
		_, err := io.ReadFull(out, b)
		return err
	})
	return f, errors.Join(err, in.Close(), c.Wait())
}

func httpFloor(ctx context.Context, each time.Duration) (Floor, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return Floor{}, err
	}
	s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	transport := &http.Transport{}
	client := &http.Client{Transport: transport}
	f, err := turns(ctx, "an empty HTTP request and back", each, func() error {
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+l.Addr().String()+"/", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return errors.Join(err, resp.Body.Close())
	})
	transport.CloseIdleConnections()
	err = errors.Join(err, s.Close())
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return f, err
}
