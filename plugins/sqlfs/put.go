package sqlfs

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

const (
	inlineMax = 32 << 10  // bytes of content that is kept in the row
	blockSize = 128 << 10 // bytes of a block
	batchSize = 8 * blockSize
	// graceSeconds is how long a content stays that is no file's any more and
	// that nobody reads; a reader renews it.
	graceSeconds = 60
	// uploadSeconds is how long one stays that does not grow, and is no file's
	// yet.
	uploadSeconds = 3600
)

// Put replaces the file by what r has, once all of it is in the database.
func (f *FS) Put(ctx context.Context, op vfs.Op, r io.Reader) (vfs.Result, error) {
	if err := f.welcome(ctx, op); err != nil {
		return vfs.Result{}, err
	}
	first := make([]byte, inlineMax+1)
	n, err := io.ReadFull(r, first)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return f.update(ctx, op, func(c *change) (int64, error) { return int64(n), c.settle(first[:n], 0, int64(n)) })
	case err != nil:
		return vfs.Result{}, err
	}
	id := newID()
	size, err := f.upload(ctx, id, first, r)
	var res vfs.Result
	if err == nil {
		res, err = f.update(ctx, op, func(c *change) (int64, error) { return size, c.settle(nil, id, size) })
	}
	if err != nil {
		f.giveUp(ctx, id)
	}
	return res, err
}

// welcome refuses early what will be refused, so that nothing is sent in vain.
func (f *FS) welcome(ctx context.Context, op vfs.Op) error {
	c := &change{FS: f, ctx: ctx, q: f.db.Reader(), op: op}
	r, err := c.find(ctx, c.q, op.Path, "")
	switch {
	case vfs.KindOf(err) == vfs.NotFound:
	case err != nil:
		return err
	case r.dir:
		return vfs.IsDirectory
	case op.Flag&vfs.FlagExclusive != 0:
		return vfs.Exists
	}
	return nil
}

// upload writes blocks of a content that is no file's yet, some in each
// transaction, so that a slow sender holds up nobody.
func (f *FS) upload(ctx context.Context, id int64, first []byte, r io.Reader) (size int64, err error) {
	if err := f.db.Update(ctx, func(q sqldb.Queryer) error {
		_, err := q.ExecContext(ctx, "INSERT INTO file_contents (id, expires) VALUES (?, "+f.now()+" + ?)", id, uploadSeconds)
		return err
	}); err != nil {
		return 0, sqldb.Known(err)
	}
	buf := make([]byte, batchSize)
	have := copy(buf, first)
	for {
		n, err := io.ReadFull(r, buf[have:])
		n += have
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return 0, err
		}
		if size+int64(n) > vfs.MaxSize {
			return 0, vfs.TooLarge
		}
		if err := f.store(ctx, id, size/blockSize, buf[:n]); err != nil {
			return 0, sqldb.Known(err)
		}
		size, have = size+int64(n), 0
		if last {
			return size, nil
		}
	}
}

// store writes whole blocks from block n on; the last may be short.
func (f *FS) store(ctx context.Context, id, n int64, b []byte) error {
	return f.db.Update(ctx, func(q sqldb.Queryer) error {
		for at := 0; at < len(b); at += blockSize {
			if _, err := q.ExecContext(ctx, putBlock, id, n+int64(at/blockSize), b[at:min(at+blockSize, len(b))]); err != nil {
				return err
			}
		}
		_, err := q.ExecContext(ctx, "UPDATE file_contents SET expires = "+f.now()+" + ? WHERE id = ? AND expires > 1", uploadSeconds, id)
		return err
	})
}

const putBlock = "REPLACE INTO file_blocks (content, n, data) VALUES (?, ?, ?)"

// settle makes a content that of the file: data, or what is under the number id.
func (c *change) settle(data []byte, id, size int64) error {
	r, err := c.target()
	if err != nil {
		return err
	}
	if id != 0 {
		n, err := c.exec("UPDATE file_contents SET expires = NULL WHERE id = ? AND expires > 1", id)
		if err == nil && n != 1 {
			err = vfs.Timeout.With("the upload has come to nothing: it did not go on for an hour")
		}
		if err != nil {
			return err
		}
	}
	if err := c.discard(r.content); err != nil {
		return err
	}
	r.content, r.size = id, size
	return c.save(r, data)
}

// target returns the row that a whole content is for; it is made if it is missing.
func (c *change) target() (row, error) {
	r, err := c.find(c.ctx, c.q, c.op.Path, forUpdate)
	switch {
	case vfs.KindOf(err) == vfs.NotFound:
		if err := c.parents(c.op.Path); err != nil {
			return row{}, err
		}
		return c.add(c.op.Path, false, perm(c.op.Mode, 0o644))
	case err != nil:
		return row{}, err
	case r.dir:
		return row{}, vfs.IsDirectory
	case c.op.Flag&vfs.FlagExclusive != 0:
		return row{}, vfs.Exists
	}
	return r, nil
}

// save writes a row with a changed content; data is what it keeps itself.
func (c *change) save(r row, data []byte) error {
	now := time.Now()
	_, err := c.exec("UPDATE files SET size = ?, mod_time = ?, mod_nanos = ?, version = ?, content = ?, data = ? WHERE path = ?",
		r.size, now.Unix(), now.Nanosecond(), newID(), r.content, data, r.path)
	return err
}

// giveUp removes an upload that came to nothing. What cannot be removed now is
// swept later.
func (f *FS) giveUp(ctx context.Context, id int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := f.db.Update(ctx, func(q sqldb.Queryer) error {
		_, err := q.ExecContext(ctx, "UPDATE file_contents SET expires = 1 WHERE id = ? AND expires > 0", id)
		return err
	})
	if err == nil {
		_ = f.clear(ctx, id) // the sweep comes by again
	}
}
