//go:build linux

package soak

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/soak/history"
)

// client is one user of the cluster, who does one thing at a time.
type client struct {
	number int
	c      *cluster
	wires  []*wire // by node
	seen   uint64  // the greatest index in an answer: it never reads older
	last   map[string]seen
}

// seen is what a client knows of a file.
type seen struct {
	version uint64
	value   string
}

func (c *cluster) newClient(number int, from uint64) *client {
	cl := &client{number: number, c: c, seen: from, last: map[string]seen{}}
	for _, n := range c.Nodes {
		cl.wires = append(cl.wires, newWire(n.URL))
	}
	return cl
}

func (cl *client) close() {
	for _, w := range cl.wires {
		w.close()
	}
}

// manner is how an Op is sent.
type manner struct {
	nodes  []int // to ask, one after the other while the outcome is unknown
	within time.Duration
	leave  bool // hang up on the first one
}

// do carries out an Op and notes what came of it.
func (cl *client) do(o *history.Op, m manner) {
	o.Client, o.Call = cl.number, cl.c.now()
	method, target, body, header := request(o)
	unsure := false // an earlier try may have been applied
	for i, node := range m.nodes {
		o.Node, o.Tries = node, i+1
		re, err := cl.wires[node].do(method, target, body, header, m.within, m.leave && i == 0)
		o.Return = cl.c.now()
		judge(o, re, err)
		if unsure && o.Status == history.Refused {
			o.Status = history.Unknown
		}
		if unsure = o.Status == history.Unknown; !unsure || !o.Keyed {
			break
		}
	}
	if o.Status == history.OK || o.Status == history.Failed {
		cl.seen = max(cl.seen, o.Index)
	}
	if o.Status == history.OK && (o.Kind == history.Get || o.Kind == history.Put) && o.Version > 0 {
		value := o.ID
		if o.Kind == history.Get {
			value = o.Out
		}
		cl.last[o.Path] = seen{o.Version, value}
	}
}

// request makes the HTTP request of an Op.
func request(o *history.Op) (method, target, body string, header http.Header) {
	r := requests[o.Kind]
	q := url.Values{"path": {o.Path + r.file}}
	if o.Kind == history.DeleteAll {
		q.Set("recursive", "true")
	}
	switch {
	case o.Kind.Reads() && o.Linear:
		q.Set("consistency", "linearizable")
	case o.MinIndex > 0:
		q.Set("min_index", strconv.FormatUint(o.MinIndex, 10))
	}
	header = http.Header{}
	if o.Keyed {
		header.Set("Idempotency-Key", o.ID)
	}
	switch {
	case o.If == nil:
	case o.If.Absent:
		header.Set("If-None-Match", "*")
	default:
		header.Set("If-Match", `"`+strconv.FormatUint(o.If.Version, 10)+`"`)
	}
	switch o.Kind {
	case history.Put, history.Enqueue:
		body = history.Content(o.ID, o.Size)
	case history.Rename:
		b, _ := json.Marshal(map[string]string{"newPath": o.To}) // of strings
		body = string(b)
	}
	return r.method, "/api/v1" + r.route + "?" + q.Encode(), body, header
}

// requests are the ways to ask for each kind; file is what is appended to the
// path.
var requests = map[history.Kind]struct{ method, route, file string }{
	history.Put:       {"PUT", "/files", ""},
	history.Delete:    {"DELETE", "/files", ""},
	history.DeleteAll: {"DELETE", "/files", ""},
	history.Mkdir:     {"POST", "/directories", ""},
	history.Rename:    {"POST", "/rename", ""},
	history.Enqueue:   {"PUT", "/files", "/enqueue"},
	history.Dequeue:   {"GET", "/files", "/dequeue"},
	history.Get:       {"GET", "/files", ""},
	history.List:      {"GET", "/directories", ""},
	history.Length:    {"GET", "/files", "/size"},
}

// refusals are the codes of answers that say that nothing was done, whatever
// the state is.
var refusals = []string{"unavailable", "throttled", "no_space", "timeout"}

// judge notes what an answer, or its absence, says of the outcome.
func judge(o *history.Op, re *reply, err error) {
	o.Status, o.HTTP, o.Code, o.Index = history.Unknown, 0, "", 0
	switch {
	case errors.Is(err, errUnsent):
		o.Status = history.Refused
		return
	case err != nil:
		return
	}
	o.HTTP = re.status
	if re.status/100 == 2 {
		take(o, re)
		return
	}
	var p struct{ Code, Outcome string }
	_ = json.Unmarshal([]byte(re.body), &p) // without a code it is unknown
	o.Code = p.Code
	switch {
	case p.Outcome == "unknown" || p.Code == "" || p.Code == "internal":
	case slices.Contains(refusals, p.Code):
		o.Status = history.Refused
	default:
		o.Status, o.Index = history.Failed, number(re.header.Get("X-Pfs-Index"))
	}
}

// take notes what a success says.
func take(o *history.Op, re *reply) {
	o.Index, o.Seq = number(re.header.Get("X-Pfs-Index")), number(re.header.Get("X-Pfs-Seq"))
	o.Version = number(strings.Trim(re.header.Get("ETag"), `"`))
	var b struct {
		ID, Data string
		Seq      uint64
		Files    []struct{ Name string }
	}
	switch o.Kind {
	case history.Enqueue, history.Dequeue, history.List:
		if json.Unmarshal([]byte(re.body), &b) != nil {
			return // cut off, or nonsense: unknown
		}
	case history.Get:
		o.Out = history.Digest(re.body)
	case history.Length:
		o.Out = re.body
	}
	o.Status = history.OK
	switch o.Kind {
	case history.Enqueue:
		o.Place, o.Message = b.Seq, b.ID
	case history.Dequeue:
		o.Out, o.Message = history.Digest(b.Data), b.ID
	case history.List:
		var names []string
		for _, f := range b.Files {
			names = append(names, f.Name)
		}
		o.Out = strings.Join(names, ",")
	}
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64) // none is 0
	return n
}
