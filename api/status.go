package api

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// statuses maps every kind to its HTTP status. Wrong kinds of file are 400,
// but for rename, where they stand in the way.
var statuses = [...]int{
	vfs.Internal:        500,
	vfs.Invalid:         400,
	vfs.Unauthenticated: 401,
	vfs.Permission:      403,
	vfs.NotFound:        404,
	vfs.Exists:          409,
	vfs.IsDirectory:     400,
	vfs.NotDirectory:    400,
	vfs.NotEmpty:        409,
	vfs.Stale:           412,
	vfs.TooLarge:        413,
	vfs.Range:           416,
	vfs.Locked:          423,
	vfs.Throttled:       429,
	vfs.Unsupported:     501,
	vfs.Unavailable:     503,
	vfs.Timeout:         504,
	vfs.NoSpace:         507,
	vfs.KeyReused:       422,
	vfs.LeaseLost:       409,
	vfs.Moved:           503,
	vfs.Conflict:        409,
	vfs.Empty:           503,
	vfs.Crashed:         502,
}

func statusOf(err error, k vfs.Kind) int {
	var e *vfs.Error
	if errors.As(err, &e) && e.Verb == "rename" && (k == vfs.IsDirectory || k == vfs.NotDirectory) {
		return 409
	}
	if !k.Valid() {
		return 500
	}
	return statuses[k]
}

// problem is the body of every answer but success.
type problem struct {
	Error     string `json:"error"`
	Code      string `json:"code"`
	Outcome   string `json:"outcome,omitempty"` // "unknown": may have been applied
	ETag      string `json:"etag,omitempty"`    // with stale: the current version
	Oldest    *int64 `json:"oldest,omitempty"`  // with range: of a stream, the first offset that is kept
	RequestID string `json:"request_id"`
}

// codes names refusals that have no kind behind them.
var codes = map[int]string{
	404: "not_found", 405: "method_not_allowed", 408: "timeout", 413: "too_large", 414: "uri_too_long",
	415: "unsupported_media_type", 417: "expectation_failed", 431: "header_too_large", 505: "http_version",
}

// refuse answers a request whose framing is doubtful, and closes.
func (c *call) refuse(r refusal) {
	code := codes[r.status]
	if code == "" {
		code = "invalid"
	}
	c.fc.SetConnectionClose()
	c.problem(r.status, problem{Error: r.reason, Code: code})
	c.s.metrics.refused.Add(1)
}

// fail answers an error. It is the one place where kinds become statuses.
func (c *call) fail(err error) {
	var (
		k       = vfs.KindOf(err)
		p       = problem{Error: err.Error(), Code: k.Code()}
		status  = statusOf(err, k)
		e       *vfs.Error
		unknown *vfs.Unknown
	)
	switch {
	case errors.Is(err, errBodySlow):
		p.Code, status = vfs.Timeout.Code(), 408
	case errors.As(err, &unknown):
		p.Outcome, p.Code, status = "unknown", vfs.Unavailable.Code(), 503
	case k == vfs.Crashed && c.method() != "GET" && c.method() != "HEAD":
		p.Outcome = "unknown"
	case k == vfs.Internal:
		c.s.log.Error("request failed", "request_id", c.id, "error", err)
		if !errors.As(err, &e) {
			p.Error = vfs.Internal.Error() // what it says is for the log only
		}
	case k == vfs.Stale && errors.As(err, &e) && e.Version > 0:
		p.ETag = strconv.FormatUint(e.Version, 10)
		c.set("ETag", etag(e.Version))
	}
	if c.in != nil && c.in.err != nil {
		c.fc.SetConnectionClose() // nobody will read the rest of the body
	}
	switch status {
	case 503:
		c.set("Retry-After", strconv.Itoa(c.comesBack()))
	case 429:
		c.set("Retry-After", "1") // a budget is free again as soon as another request has ended
	case 507:
		c.set("Retry-After", "5") // space does not come back at once
	}
	c.problem(status, p)
}

// comesBack is in how many seconds to try again what is not available: when the
// mount that was asked is to be started again, if that is known; or soon.
func (c *call) comesBack() int {
	if c.table == nil || c.asked == "" {
		return 1
	}
	m, _, _ := c.table.Route(c.asked)
	if at := m.State().Retry; at != nil {
		return int(min(max(math.Ceil(time.Until(*at).Seconds()), 1), 60))
	}
	return 1
}

// problem answers p.
func (c *call) problem(status int, p problem) {
	p.RequestID, p.Oldest, c.code = c.id, c.oldest, p.Code
	c.s.metrics.problems.WithLabelValues(p.Code).Inc()
	b, err := json.Marshal(p)
	if err != nil { // not of strings
		panic(err)
	}
	c.raw(status, append(b, '\n'))
}

// json answers v as compact JSON with a newline at its end.
func (c *call) json(status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.raw(status, append(b, '\n'))
	return nil
}

// raw answers bytes that are JSON already. The call keeps them.
func (c *call) raw(status int, b []byte) {
	c.fc.SetStatusCode(status)
	c.fc.Response.Header.SetContentType("application/json")
	c.fc.Response.SetBodyRaw(b)
}

// setTag sets the ETag of the answer.
func (c *call) setTag(version uint64) {
	var b [22]byte
	c.head("Etag", append(strconv.AppendUint(append(b[:0], '"'), version, 10), '"')) // as fasthttp spells it
}

func etag(version uint64) string { return `"` + strconv.FormatUint(version, 10) + `"` }

// message is the answer to a change that has nothing else to say.
type message struct {
	Message string `json:"message"`
	Index   uint64 `json:"index,omitempty"`
}
