package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/fsm"
	"github.com/pfs-project/pfs/vfs"
)

const (
	shipLook  = 200 * time.Millisecond // between two looks for files that are complete
	shipRetry = time.Minute            // after failures, at most
	shipNames = 1000                   // that are tried for one file
)

// sender is a node that has files for mounts outside the log; cluster.Node is one.
type sender interface {
	Leads() bool
	Image(ctx context.Context, l vfs.Level) (*fsm.Image, error)
	Propose(ctx context.Context, r vfs.Request) (vfs.Outcome, error)
}

// shipping writes the files that filesystems have for mounts outside the log, on
// the node that leads.
type shipping struct {
	node  sender
	files *client.Client
	log   *slog.Logger
	turns map[uint64]*turn // by mount
}

// turn is how the files of one mount fare.
type turn struct {
	busy  bool
	wait  time.Duration // after failures; 0: it goes well
	again time.Time
}

func newShipping(node sender, files *client.Client, log *slog.Logger) *shipping {
	return &shipping{node: node, files: files, log: log, turns: map[uint64]*turn{}}
}

// run writes until ctx is done.
func (s *shipping) run(ctx context.Context) {
	t := time.NewTicker(shipLook)
	defer t.Stop()
	ended := make(chan func())
	var under sync.WaitGroup
	defer under.Wait()
	for {
		select {
		case <-t.C:
			if s.node.Leads() {
				s.begin(ctx, &under, ended)
			}
		case note := <-ended:
			note()
		case <-ctx.Done():
			return
		}
	}
}

// begin writes the first file of every mount that has one, beside each other.
func (s *shipping) begin(ctx context.Context, under *sync.WaitGroup, ended chan<- func()) {
	im, err := s.node.Image(ctx, vfs.Level{})
	if err != nil {
		return
	}
	defer im.Release()
	for _, m := range im.Table.Mounts() {
		f, ok := m.FS.(vfs.Shipper)
		if !ok {
			continue
		}
		file, ok := f.Ship(vfs.Sub(im.View, vfs.MountPrefix(m.ID)))
		t := s.turns[m.ID]
		if t == nil {
			t = &turn{}
			s.turns[m.ID] = t
		}
		if !ok || t.busy || time.Now().Before(t.again) {
			continue
		}
		t.busy = true
		under.Go(func() {
			err := s.ship(ctx, parcel{s, m, f, file})
			select {
			case ended <- func() { s.end(t, m, file, err) }:
			case <-ctx.Done():
			}
		})
	}
	maps.DeleteFunc(s.turns, func(id uint64, t *turn) bool {
		_, mounted := im.Table.Mount(id)
		return !mounted && !t.busy
	})
}

func (s *shipping) end(t *turn, m vfs.Mounted, file vfs.Shipment, err error) {
	t.busy = false
	if err == nil {
		t.wait = 0
		s.log.Debug("file written outside the log", "path", string(file.To), "bytes", file.Size)
		return
	}
	t.wait = min(max(2*t.wait, time.Second), shipRetry)
	t.again = time.Now().Add(t.wait)
	s.log.Warn("file is not written outside the log", "path", string(file.To), "mount", string(m.Path), "error", err)
}

// ship writes one file, under its name or that with a number behind it: nothing
// that is there already is lost. One that is there with the same content is this
// file, from a try whose end nobody heard of.
func (s *shipping) ship(ctx context.Context, p parcel) error {
	if err := p.directory(ctx); err != nil {
		return err
	}
	for n := 1; ; n++ {
		name := string(p.file.To)
		if n > 1 {
			name = fmt.Sprintf("%s_%d", name, n)
		}
		_, err := s.files.Write(ctx, name, p.open(ctx), p.file.Size, client.IfAbsent())
		if errors.Is(err, vfs.Stale) || errors.Is(err, vfs.Exists) {
			same, err := p.is(ctx, name)
			if err == nil && !same && n < shipNames {
				continue
			}
			if err == nil && !same {
				err = fmt.Errorf("%d files have its name", n)
			}
			if err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		op := p.file.Done
		op.Mount, op.Path = p.from.ID, p.from.Path.Join(op.Path)
		out, err := s.node.Propose(ctx, vfs.Request{Ops: []vfs.Op{op}})
		return errors.Join(err, out.Err)
	}
}

// parcel is a file on its way.
type parcel struct {
	s    *shipping
	from vfs.Mounted
	fs   vfs.Shipper
	file vfs.Shipment
}

// directory makes the one that the file goes to.
func (p parcel) directory(ctx context.Context) error {
	im, err := p.s.node.Image(ctx, vfs.Level{})
	if err != nil {
		return err
	}
	m, rel, ok := im.Table.Route(p.file.To)
	im.Release()
	if !ok {
		return vfs.NotFound.Withf("there is no mount at %s", p.file.To)
	}
	return mkdirs(ctx, p.s.files, m, rel.Dir())
}

// open returns the content, read from the state as it goes. It does not seek: a
// write is tried again by its name and content, not by a key.
func (p parcel) open(ctx context.Context) io.Reader {
	r := io.NewSectionReader(readerAt(func(b []byte, off int64) (int, error) {
		im, err := p.s.node.Image(ctx, vfs.Level{})
		if err != nil {
			return 0, err
		}
		defer im.Release()
		return p.fs.ReadShipment(ctx, vfs.Sub(im.View, vfs.MountPrefix(p.from.ID)), p.file, b, off)
	}), 0, p.file.Size)
	return struct{ io.Reader }{r}
}

type readerAt func(b []byte, off int64) (int, error)

func (f readerAt) ReadAt(b []byte, off int64) (int, error) { return f(b, off) }

// is reports whether the file of that name has the content of this one.
func (p parcel) is(ctx context.Context, name string) (bool, error) {
	i, err := p.s.files.Stat(ctx, name)
	if err != nil || i.IsDir || i.Size != p.file.Size {
		return false, err
	}
	there, err := p.s.files.Open(ctx, name)
	if err != nil {
		return false, err
	}
	defer there.Close()
	ours := p.open(ctx)
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(ours, a)
		k, terr := io.ReadFull(there, b)
		if terr == io.EOF || terr == io.ErrUnexpectedEOF {
			terr = nil
		}
		switch {
		case terr != nil:
			return false, terr
		case n != k || !bytes.Equal(a[:n], b[:k]):
			return false, nil
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return true, nil
		case err != nil:
			return false, err
		}
	}
}
