package client

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"strings"
)

// maxProbe is how many bytes of an answer to a probe are looked at.
const maxProbe = 1 << 10

// Probe asks the node for one of its probes, as "livez" or "readyz", once. It
// returns nil if that is good, an [*Error] with the node's words if it is not,
// and an [*Unreachable] if nobody answers.
func (c *Client) Probe(ctx context.Context, name string) error {
	base := c.node()
	fail := func(err error) error { return &fs.PathError{Op: "probe", Path: name, Err: err} }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/"+name, nil)
	if err != nil {
		return fail(err)
	}
	c.headers(ctx, req)
	resp, err := c.http.Do(req)
	if err != nil {
		k := call{method: http.MethodGet}
		return fail(k.unreachable(ctx, base, err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxProbe))
	if err != nil {
		return fail(err)
	}
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	e := &Error{Status: resp.StatusCode, Message: strings.TrimSpace(string(b))}
	if resp.StatusCode == http.StatusServiceUnavailable {
		e.Code = "unavailable"
	}
	return fail(e)
}
