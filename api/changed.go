package api

import (
	"bytes"
	"context"
	"iter"
	"strings"
	"time"

	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

// errBlind refuses to wait for a file whose changes this node does not hear of.
var errBlind = vfs.Unsupported.With("its changes cannot be waited for: ask again from time to time")

// rowsRead is a View that notes which rows are read through it. What a Folder
// says of a file follows from those rows alone, so that it is the same until
// one of them changes.
type rowsRead struct {
	vfs.View
	keys  [][]byte
	blind bool // more than single rows was read
}

// Get notes the row, also one that is not there.
func (r *rowsRead) Get(key []byte) ([]byte, bool) {
	r.keys = append(r.keys, bytes.Clone(key))
	return r.View.Get(key)
}

// Scan cannot be waited for.
func (r *rowsRead) Scan(prefix, from []byte) iter.Seq2[[]byte, []byte] {
	r.blind = true
	return r.View.Scan(prefix, from)
}

// changing is a read that waits until a file is no longer the one that the
// client knows. It costs what it watches, and nothing while nothing changes.
type changing struct {
	c       *call
	verb    string
	path    vfs.Path
	follows bool   // a link at the end
	known   string // entity tags; "0" is no file

	look  chan struct{}
	rows  map[string]func() // by key: how to stop hearing of it
	cost  int               // bytes that are held for them
	fresh bool              // the node has asked for what the client may know already
}

// awaitChange holds a read with If-None-Match that may wait, until the file has
// another version, is gone, or the time is over. held: the file is as the client
// knows it, which has been answered.
func (c *call) awaitChange(verb string, follows bool) (held bool, err error) {
	if _, ok := c.query.get("wait"); !ok {
		return false, nil
	}
	known := c.header("If-None-Match")
	if known == "" {
		return false, nil
	}
	wait, err := c.duration("wait", 0, maxWait)
	if err != nil {
		return false, err
	}
	p, err := c.path()
	if err != nil {
		return false, err
	}
	l, err := c.level()
	if err != nil {
		return false, err
	}
	w := &changing{c: c, verb: verb, path: p, follows: follows, known: known, look: make(chan struct{}, 1), rows: map[string]func(){}}
	defer w.unhear(nil)
	same, err := w.asBefore(l)
	if err == nil && same && wait > 0 {
		same, err = w.wait(wait)
	}
	if err != nil || !same {
		return false, err
	}
	c.fc.SetStatusCode(304)
	return true, nil
}

// wait looks at each change until the file has changed; same: it has not.
func (w *changing) wait(d time.Duration) (same bool, err error) {
	leave, err := w.c.s.waits.enter()
	if err != nil {
		return false, named(err, w.verb, w.path)
	}
	defer leave()
	ctx, cancel := context.WithTimeout(w.c.context(), d)
	defer cancel()
	left, stop := w.c.left()
	defer stop()
	since := time.Now()
	defer func() { w.c.waited += time.Since(since) }()
	for {
		select {
		case <-w.look:
			if same, err := w.asBefore(vfs.Level{}); err != nil || !same {
				return same, err
			}
		case <-left:
			return false, named(vfs.Timeout.With("the client has left"), w.verb, w.path)
		case <-w.c.s.waits.over:
			return true, nil
		case <-ctx.Done():
			return true, nil
		}
	}
}

// asBefore reports whether the file is the one that the client knows, and hears
// from now on of what it reads. That may have changed before it was heard: then
// look has something.
func (w *changing) asBefore(l vfs.Level) (bool, error) {
	img, err := w.c.imageAt(l)
	if err != nil {
		return false, err
	}
	defer func() { img.Release() }()
	if !w.fresh && img.Seq < newest(w.known) { // the client comes from a node that is ahead
		w.fresh = true
		ahead, err := w.c.imageAt(vfs.Level{Linearizable: true})
		if err != nil {
			return false, err
		}
		img.Release()
		img = ahead
	}
	ctx := w.c.within()
	defer ctx.End()
	rows := &rowsRead{View: img.View}
	var i vfs.Info
	real, err := img.Table.Resolve(ctx, rows, w.path, w.follows)
	switch {
	case err != nil:
	case w.follows:
		i, _, err = img.Table.Lookup(ctx, rows, w.verb, w.path)
	default:
		i, err = img.Table.Stat(ctx, rows, w.path)
	}
	none := vfs.KindOf(err) == vfs.NotFound
	if err != nil && !none {
		return false, nil // the read itself says what is wrong
	}
	if none {
		i = vfs.Info{}
	}
	m, _, mounted := img.Table.Route(real)
	switch {
	case i.Consumes():
		return false, nil // it waits in its own way
	case !none && !matches(w.known, i.Version, true), none && !hasTag(w.known, 0):
		return false, nil
	case mounted && m.Place != vfs.Replicated, rows.blind:
		return false, named(errBlind, w.verb, w.path)
	}
	if i.Version > 0 {
		w.c.set("ETag", etag(i.Version))
	}
	return true, named(w.hear(append(rows.keys, fsm.MountsRow())), w.verb, w.path)
}

// rowCost is about how many bytes a watched row takes beside its key, which is
// kept twice.
const rowCost = 512

// hear listens to these rows and to no others, if there is memory for that.
func (w *changing) hear(keys [][]byte) error {
	wanted, cost := make(map[string]bool, len(keys)), 0
	for _, k := range keys {
		if !wanted[string(k)] {
			wanted[string(k)] = true
			cost += rowCost + 2*len(k)
		}
	}
	if cost > w.cost {
		if err := w.c.hold(cost - w.cost); err != nil {
			return err
		}
		w.cost = cost
	}
	w.unhear(wanted)
	for k := range wanted { // any order
		if w.rows[k] == nil {
			w.rows[k] = w.c.s.cfg.Node.Watch([]byte(k), w.nudge)
			w.nudge()
		}
	}
	return nil
}

// unhear listens no longer to rows but those to keep.
func (w *changing) unhear(keep map[string]bool) {
	for k, stop := range w.rows { // any order
		if !keep[k] {
			stop()
			delete(w.rows, k)
		}
	}
}

// nudge has the file looked at again; it does not wait.
func (w *changing) nudge() {
	select {
	case w.look <- struct{}{}:
	default:
	}
}

// newest returns the highest version in a list of entity tags.
func newest(list string) (v uint64) {
	for t := range strings.SplitSeq(list, ",") {
		if n, ok := tag(strings.TrimPrefix(strings.TrimSpace(t), "W/")); ok {
			v = max(v, n)
		}
	}
	return v
}

// hasTag reports whether a list of entity tags names the version.
func hasTag(list string, version uint64) bool {
	for t := range strings.SplitSeq(list, ",") {
		if n, ok := tag(strings.TrimSpace(t)); ok && n == version {
			return true
		}
	}
	return false
}

// whose tells, in the answer to a read that names wait, how long the file is and
// which one it is: another one that takes its name is told from it.
func (c *call) whose(img *fsm.Image, p vfs.Path, i vfs.Info) {
	if _, ok := c.query.get("wait"); !ok {
		return
	}
	c.set("X-Pfs-Size", formatIndex(uint64(max(i.Size, 0))))
	if m, _, _ := img.Table.Route(p); m.Place == vfs.Replicated && i.ID != 0 {
		c.set("X-Pfs-File", formatIndex(m.ID)+"."+formatIndex(i.ID))
	}
}
