package cluster

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"github.com/pfs-project/pfs/lapse"
	"github.com/pfs-project/pfs/vfs"
)

const (
	chunksOut = 4               // chunks of one upload under way
	memWait   = 5 * time.Second // for room in memory
)

// Keep reads all of r and keeps it: up to vfs.MaxInline bytes inline, more as
// chunks that a quorum of voters has synced when it returns. It takes a fixed
// window of memory however long r is. More than max bytes (0: no limit) is
// TooLarge; no room in memory is Throttled, none on disk NoSpace; no quorum is Unavailable. An error
// of r that has no kind is Invalid. After an error nothing was proposed.
func (n *Node) Keep(ctx context.Context, r io.Reader, max int64) (vfs.Content, error) {
	if err := n.gate.enter(); err != nil {
		return vfs.Content{}, err
	}
	defer n.gate.leave()
	defer n.stage(ctx, stageKeep, time.Now())
	if n.removed.Load() {
		return vfs.Content{}, errRemoved
	}
	u := &upload{n: n, max: max}
	b, size, last, err := u.read(ctx, r)
	switch {
	case err != nil:
		return vfs.Content{}, err
	case last && size <= vfs.MaxInline:
		defer b.free()
		data := append([]byte(nil), b.b[:size]...) // goes into the log
		return vfs.Content{Data: data, Size: u.size}, nil
	}
	u.sum = n.hasher()
	defer n.hashers.Put(u.sum)
	_, _ = u.sum.Write(b.b[:size]) // never fails
	ctx, cancel := context.WithCancelCause(ctx)
	u.cancel, u.slots = cancel, make(chan struct{}, chunksOut)
	c, err := u.chunks(ctx, r, b, size, last)
	cancel(errUploadOver)
	u.wg.Wait()
	return c, err
}

// hasher returns one that has seen nothing; a new one takes 10 KiB.
func (n *Node) hasher() *blake3.Hasher {
	h, ok := n.hashers.Get().(*blake3.Hasher)
	if !ok {
		return blake3.New()
	}
	h.Reset()
	return h
}

var errUploadOver = errors.New("upload is over")

// upload is one Keep under way.
type upload struct {
	n      *Node
	cancel context.CancelCauseFunc
	max    int64
	size   int64
	sum    *blake3.Hasher // nil while it is not known to be long
	slots  chan struct{}
	wg     sync.WaitGroup
	stager stager
}

// chunks keeps what is in b, and all that follows in r.
func (u *upload) chunks(ctx context.Context, r io.Reader, b *buffer, size int, last bool) (vfs.Content, error) {
	var err error
	if u.n.vol.Full() {
		b.free()
		return vfs.Content{}, errNoSpaceHere
	}
	u.stager.start(u.n)
	defer u.stager.stop()
	u.wg.Go(func() { u.stager.run(ctx, u.cancel) })
	for {
		if size > 0 {
			u.send(ctx, b, size)
		} else {
			b.free()
		}
		if last {
			break
		}
		if b, size, last, err = u.read(ctx, r); err != nil {
			return vfs.Content{}, err
		}
	}
	for range chunksOut { // all that are under way
		select {
		case u.slots <- struct{}{}:
		case <-ctx.Done():
			return vfs.Content{}, context.Cause(ctx)
		}
	}
	if err := context.Cause(ctx); err != nil {
		return vfs.Content{}, err
	}
	c, err := u.stager.finish(ctx)
	c.Size, c.Sum = u.size, u.total()
	return c, err
}

func (u *upload) total() (sum [32]byte) {
	u.sum.Sum(sum[:0])
	return sum
}

// read fills a buffer with the next chunk; last is whether r has ended. The
// buffer grows with what comes, so that a short or slow body holds little.
func (u *upload) read(ctx context.Context, r io.Reader) (b *buffer, size int, last bool, err error) {
	if err := context.Cause(ctx); err != nil {
		return nil, 0, false, err
	}
	if b, err = u.n.chunkBuffer(ctx, sizes[0]); err != nil {
		return nil, 0, false, err
	}
	for {
		end := min(len(b.b), vfs.ChunkSize)
		n, err := io.ReadFull(r, b.b[size:end])
		if u.sum != nil {
			_, _ = u.sum.Write(b.b[size : size+n]) // never fails
		}
		size += n
		u.size += int64(n)
		switch {
		case u.max > 0 && u.size > u.max:
			err = vfs.TooLarge.Withf("content is longer than %d bytes", u.max)
		case u.size > vfs.MaxSize:
			err = vfs.TooLarge.With("content")
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return b, size, true, nil
		case err != nil:
			err = bodyError(err)
		}
		if err == nil && size == vfs.ChunkSize {
			return b, size, false, nil
		}
		if err == nil {
			b, err = u.grow(ctx, b, size)
		}
		if err != nil {
			if b != nil {
				b.free()
			}
			return nil, 0, false, err
		}
	}
}

// bodyError is the answer to a body that cannot be read to its end.
func bodyError(err error) error {
	var k vfs.Kind
	if errors.As(err, &k) {
		return err
	}
	return vfs.Invalid.With("body: " + err.Error())
}

// grow moves the first size bytes into the next larger buffer.
func (u *upload) grow(ctx context.Context, b *buffer, size int) (*buffer, error) {
	next, err := u.n.chunkBuffer(ctx, size+1)
	if err != nil {
		return b, err
	}
	copy(next.b, b.b[:size])
	b.free()
	return next, nil
}

// chunkBuffer returns a buffer for n bytes of a chunk, within the node's
// budget.
func (n *Node) chunkBuffer(ctx context.Context, size int) (*buffer, error) {
	b := n.buffers.get(size)
	held := int64(len(b.b))
	if !n.chunkMem.takeNow(held) {
		if err := n.awaitMem(ctx, held); err != nil {
			b.free()
			return nil, err
		}
	}
	b.held, b.size = n.chunkMem, held
	return b, nil
}

// awaitMem waits for bytes of the budget.
func (n *Node) awaitMem(ctx context.Context, held int64) error {
	wait := lapse.After(ctx, memWait)
	defer wait.End()
	if n.chunkMem.takeLater(wait, held) == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	n.metrics.throttled.Inc()
	return vfs.Throttled.With("too much content is on its way in")
}

// send keeps one chunk in the background, once one of the slots is free.
func (u *upload) send(ctx context.Context, b *buffer, size int) {
	select {
	case u.slots <- struct{}{}:
	case <-ctx.Done():
		b.free()
		return
	}
	place := u.stager.reserve(uint32(size))
	u.wg.Go(func() {
		defer func() { <-u.slots }()
		hash, err := u.n.spread(ctx, b, size)
		if err != nil {
			u.cancel(err)
			return
		}
		u.stager.fill(place, hash)
	})
}
