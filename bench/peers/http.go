package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/pfs-project/pfs/bench"
)

// newHTTP is the client of large files, the same for all servers of them.
func newHTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableCompression: true}}
}

// send puts size bytes of body at a URL.
func send(ctx context.Context, c *http.Client, url string, body io.Reader, size int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, body)
	if err != nil {
		return err
	}
	req.ContentLength = size
	_, err = answer(c, req, io.Discard)
	return err
}

// fetch writes what is at a URL to w and returns its length.
func fetch(ctx context.Context, c *http.Client, url string, w io.Writer) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	return answer(c, req, w)
}

func answer(c *http.Client, req *http.Request, w io.Writer) (int64, error) {
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, err := io.ReadAll(io.LimitReader(resp.Body, 200))
		return 0, errors.Join(fmt.Errorf("%s %s: %s: %s", req.Method, req.URL, resp.Status, b), err)
	}
	return bench.Drain(w, resp.Body)
}

// serves is nil once a GET of the URL is answered with 200.
func serves(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := fetch(ctx, http.DefaultClient, url, io.Discard)
		return err
	}
}
