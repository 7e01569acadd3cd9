package client

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// How often a Watch looks where it cannot wait: soon again after a change, and
// then less and less.
const (
	watchSoon = 100 * time.Millisecond
	watchRare = 2 * time.Second
)

// Watch gives the file at path as it is now, and then each version of it that it
// sees, until ctx ends. Versions that follow each other fast may be seen as one.
// It waits on the node, and so asks once in a minute while nothing changes. Of
// what the server cannot wait for (files outside the log, older servers, more
// waiting than a node takes) it looks ten times a second after a change, and once
// in two seconds in the end.
//
// While there is no such file the error is fs.ErrNotExist, once; after this and
// after errors that pass, a loop that goes on goes on watching. Any other error
// ends it.
func (c *Client) Watch(ctx context.Context, path string) iter.Seq2[Info, error] {
	return c.WatchEvery(ctx, path, 0)
}

// WatchEvery is Watch that sees all it can: after a change it waits for the next one
// at once, and where it cannot wait it looks at that interval; 0 is Watch.
func (c *Client) WatchEvery(ctx context.Context, path string, every time.Duration) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		w := watch{c: c, path: path, every: every}
		for pause := watchSoon; ; pause = min(pause+pause/2, watchRare) {
			i, err := w.next(ctx)
			missing := errors.Is(err, fs.ErrNotExist)
			news := err != nil && !(missing && w.gone) || err == nil && !(w.known && same(i, w.last))
			switch {
			case ctx.Err() != nil:
				return
			case news && (!yield(i, err) || err != nil && !missing && !temporary(err)):
				return
			case news:
				pause = watchSoon
			}
			if w.known = w.known && !missing; err == nil {
				w.known, w.last = true, i
			}
			w.gone = missing
			rest := pause/2 + rand.N(pause)
			if every > 0 && (err == nil || missing) {
				rest = 0
				if w.etag() == "" {
					rest = every
				}
			}
			if sleep(ctx, rest) != nil {
				return
			}
		}
	}
}

// watch is what a Watch knows.
type watch struct {
	c     *Client
	path  string
	last  Info
	known bool      // last is as it was seen last
	gone  bool      // nothing was there
	looks bool      // since the server cannot wait
	full  time.Time // until then it looks, too: so many wait already
	every time.Duration
}

// etag is what to wait with for a change, "" where that cannot be.
func (w *watch) etag() string {
	switch {
	case w.looks, time.Now().Before(w.full):
	case w.gone:
		return NoFile
	case w.known:
		return w.last.ETag
	}
	return ""
}

// next describes the file: once it has changed, where that can be waited for.
func (w *watch) next(ctx context.Context) (Info, error) {
	etag := w.etag()
	for etag != "" {
		asked := time.Now()
		i, err := w.c.WaitChange(ctx, w.path, etag, MaxWait)
		switch {
		case errors.Is(err, ErrUnchanged):
			if time.Since(asked) < MaxWait/2 { // a node that stops ends all waiting
				_ = sleep(ctx, watchRare) // the next request tells of the end
			}
			continue
		case errors.Is(err, vfs.Throttled):
			w.full = time.Now().Add(MaxWait)
		case !errors.Is(err, vfs.Unsupported):
			return i, err
		default:
			w.looks = true
		}
		etag = ""
	}
	return w.c.Stat(ctx, w.path)
}

// same reports whether two looks at a file saw one version of it.
func same(a, b Info) bool {
	if a.ETag != "" || b.ETag != "" {
		return a.ETag == b.ETag && a.Size == b.Size // of a stream the version stays
	}
	return a.Size == b.Size && a.Mode == b.Mode && a.ModTime.Equal(b.ModTime) && a.IsDir == b.IsDir
}
