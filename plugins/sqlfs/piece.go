package sqlfs

import (
	"database/sql"
	"errors"

	"github.com/pfs-project/pfs/vfs"
)

// write writes a piece in place. What replaces the file goes through Put.
func (c *change) write() (int64, error) {
	if c.op.Flag&vfs.FlagCreate == 0 {
		if _, err := c.find(c.ctx, c.q, c.op.Path, forUpdate); err != nil {
			return 0, err
		}
	}
	r, err := c.target()
	if err != nil {
		return 0, err
	}
	if c.op.Flag&vfs.FlagTruncate != 0 {
		if r, err = c.resize(r, 0); err != nil {
			return 0, err
		}
	}
	off := c.op.Off
	if c.op.Appends() {
		off = r.size
	}
	switch n := int64(len(c.op.Data)); {
	case off < 0:
		return 0, vfs.Invalid.With("negative offset")
	case off > vfs.MaxSize-n:
		return 0, vfs.TooLarge
	case n == 0:
		return 0, nil
	default:
		return n, c.patch(r, c.op.Data, off)
	}
}

func (c *change) truncate() (int64, error) {
	r, err := c.find(c.ctx, c.q, c.op.Path, forUpdate)
	switch {
	case err != nil:
		return 0, err
	case r.dir:
		return 0, vfs.IsDirectory
	case c.op.Off < 0:
		return 0, vfs.Invalid.With("negative size")
	case c.op.Off > vfs.MaxSize:
		return 0, vfs.TooLarge
	}
	_, err = c.resize(r, c.op.Off)
	return 0, err
}

// inline returns the content that the row keeps.
func (c *change) inline(r row) (data []byte, err error) {
	err = c.q.QueryRowContext(c.ctx, "SELECT data FROM files WHERE path = ?", r.path).Scan(&data)
	return data, err
}

// patch writes data at an offset.
func (c *change) patch(r row, data []byte, off int64) error {
	end := off + int64(len(data))
	if r.content == 0 && max(r.size, end) <= inlineMax {
		old, err := c.inline(r)
		if err != nil {
			return err
		}
		whole := make([]byte, max(r.size, end))
		copy(whole, old)
		copy(whole[off:], data)
		r.size = int64(len(whole))
		return c.save(r, whole)
	}
	r, err := c.spread(r)
	if err != nil {
		return err
	}
	if err := c.overlay(r, data, off); err != nil {
		return err
	}
	r.size = max(r.size, end)
	return c.save(r, nil)
}

// spread moves a content from the row into blocks.
func (c *change) spread(r row) (row, error) {
	if r.content != 0 {
		return r, nil
	}
	data, err := c.inline(r)
	if err != nil {
		return r, err
	}
	r.content = newID()
	if _, err := c.exec("INSERT INTO file_contents (id, expires) VALUES (?, NULL)", r.content); err != nil {
		return r, err
	}
	return r, c.overlay(r, data, 0)
}

// overlay writes the blocks that data touches.
func (c *change) overlay(r row, data []byte, off int64) error {
	for len(data) > 0 {
		n, at := off/blockSize, int(off%blockSize)
		piece := data[:min(len(data), blockSize-at)]
		block := piece
		if at > 0 || len(piece) < blockSize {
			old, err := c.block(r, n)
			if err != nil {
				return err
			}
			block = make([]byte, max(len(old), at+len(piece)))
			copy(block, old)
			copy(block[at:], piece)
		}
		if _, err := c.exec(putBlock, r.content, n, block); err != nil {
			return err
		}
		data, off = data[len(piece):], off+int64(len(piece))
	}
	return nil
}

// block returns one block; nothing of a hole.
func (c *change) block(r row, n int64) (b []byte, err error) {
	err = c.q.QueryRowContext(c.ctx, "SELECT data FROM file_blocks WHERE content = ? AND n = ?", r.content, n).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return b, err
}

// resize makes a file so long, with zeros where it had nothing.
func (c *change) resize(r row, size int64) (row, error) {
	var data []byte
	switch {
	case size == 0:
		if err := c.discard(r.content); err != nil {
			return r, err
		}
		r.content = 0
		data = []byte{}
	case r.content == 0 && max(size, r.size) <= inlineMax:
		old, err := c.inline(r)
		if err != nil {
			return r, err
		}
		data = make([]byte, size)
		copy(data, old)
	default:
		var err error
		if r, err = c.spread(r); err != nil {
			return r, err
		}
		if size < r.size {
			if err := c.shorten(r, size); err != nil {
				return r, err
			}
		}
	}
	r.size = size
	return r, c.save(r, data)
}

// shorten drops what blocks hold behind the new end.
func (c *change) shorten(r row, size int64) error {
	last := size / blockSize
	if _, err := c.exec("DELETE FROM file_blocks WHERE content = ? AND n > ?", r.content, last); err != nil {
		return err
	}
	b, err := c.block(r, last)
	if err != nil || int64(len(b)) <= size%blockSize {
		return err
	}
	_, err = c.exec(putBlock, r.content, last, b[:size%blockSize])
	return err
}
