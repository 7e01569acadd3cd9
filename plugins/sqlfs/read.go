package sqlfs

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// part returns the row at p and, of a content that is in the row, a part.
func (f *FS) part(ctx context.Context, p vfs.Path, off int64, n int) (row, []byte, error) {
	var data []byte
	r, err := scan(f.db.Reader().QueryRowContext(ctx, "SELECT "+columns+
		", CASE WHEN content = 0 THEN SUBSTR(data, ?, ?) END FROM files WHERE path = ?", off+1, n, string(p)), &data)
	if errors.Is(err, sql.ErrNoRows) || len(p) > maxPath {
		_, err = f.find(ctx, f.db.Reader(), p, "")
		if err == nil {
			err = vfs.NotFound // it came meanwhile
		}
		return row{}, nil, err
	}
	if err == nil && r.dir {
		err = vfs.IsDirectory
	}
	return r, data, sqldb.Kind(err)
}

// tries is how often a read begins anew whose content was replaced and swept
// meanwhile.
const tries = 4

// ReadAt reads from the file at p.
func (f *FS) ReadAt(ctx context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, vfs.Invalid.With("negative offset")
	}
	for range tries {
		r, data, err := f.part(ctx, p, off, len(b))
		switch {
		case doc(p, err):
			return strings.NewReader(readme).ReadAt(b, off)
		case err != nil:
			return 0, err
		case off >= r.size:
			return 0, io.EOF
		}
		n := int(min(int64(len(b)), r.size-off))
		if r.content == 0 {
			clear(b[copy(b[:n], data):n])
		} else if err := f.fill(ctx, r, b[:n], off); vfs.KindOf(err) == vfs.Stale {
			continue
		} else if err != nil {
			return 0, err
		}
		if n < len(b) {
			return n, io.EOF
		}
		return n, nil
	}
	return 0, vfs.Unavailable.With("the file is replaced faster than it is read; try again")
}

// fill reads from blocks. Stale: the content is no longer there.
func (f *FS) fill(ctx context.Context, r row, b []byte, off int64) error {
	if len(b) == 0 {
		return nil
	}
	clear(b)
	from, to := off/blockSize, (off+int64(len(b))-1)/blockSize
	rows, err := f.db.Reader().QueryContext(ctx, "SELECT n, data FROM file_blocks WHERE content = ? AND n BETWEEN ? AND ? ORDER BY n", r.content, from, to)
	if err != nil {
		return sqldb.Kind(err)
	}
	defer rows.Close()
	seen := int64(0)
	for rows.Next() {
		var n int64
		var data sql.RawBytes
		if err := rows.Scan(&n, &data); err != nil {
			return sqldb.Kind(err)
		}
		seen++
		if at := n*blockSize - off; at >= 0 {
			copy(b[at:], data)
		} else if -at < int64(len(data)) {
			copy(b, data[-at:])
		}
	}
	if err := rows.Err(); err != nil {
		return sqldb.Kind(err)
	}
	if seen > to-from {
		return nil
	}
	return f.alive(ctx, r)
}

// alive returns nil if a block that is missing is a hole.
func (f *FS) alive(ctx context.Context, r row) error {
	now, err := f.find(ctx, f.db.Reader(), vfs.Path(r.path), "")
	switch {
	case err != nil && vfs.KindOf(err) != vfs.NotFound && vfs.KindOf(err) != vfs.NotDirectory:
		return err
	case err == nil && now.content == r.content && now.size >= r.size:
		return nil
	case err == nil && now.content == r.content: // cut short in place
		return &vfs.Error{Kind: vfs.Stale, Version: uint64(now.version)}
	}
	var n int
	err = f.db.Reader().QueryRowContext(ctx, "SELECT COUNT(*) FROM file_contents WHERE id = ? AND (expires IS NULL OR expires > 1)", r.content).Scan(&n)
	if err == nil && n == 0 {
		return &vfs.Error{Kind: vfs.Stale, Version: uint64(now.version)}
	}
	return sqldb.Kind(err)
}

// maxRow is more than other servers keep in a row.
const maxRow = 64 << 20

// Stream reads on from an offset, all of it from the content that is there now.
func (f *FS) Stream(ctx context.Context, p vfs.Path, want uint64, off int64) (io.ReadCloser, error) {
	r, data, err := f.part(ctx, p, off, inlineMax)
	if err == nil && r.content == 0 && r.size-off > inlineMax { // of a table of another server
		r, data, err = f.part(ctx, p, off, maxRow)
	}
	switch {
	case doc(p, err):
		return nil, vfs.Unsupported // it is short
	case err != nil:
		return nil, err
	case want != 0 && want != uint64(r.version):
		return nil, &vfs.Error{Kind: vfs.Stale, Version: uint64(r.version)}
	}
	s := &stream{FS: f, ctx: ctx, row: r, off: off, renewed: time.Now()}
	if r.content == 0 {
		s.left, s.off = data, max(r.size, off)
	}
	return s, nil
}

// stream reads one content block by block.
type stream struct {
	*FS
	ctx     context.Context
	row     row
	off     int64 // of what comes after left
	buf     []byte
	left    []byte
	renewed time.Time
}

// Read reads on.
func (s *stream) Read(b []byte) (int, error) {
	if len(s.left) == 0 {
		if s.off >= s.row.size {
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, s.left)
	s.left = s.left[n:]
	return n, nil
}

// next reads to the end of a block.
func (s *stream) next() error {
	if s.buf == nil {
		s.buf = make([]byte, blockSize)
	}
	if time.Since(s.renewed) > graceSeconds*time.Second/4 {
		s.renewed = time.Now()
		if err := s.db.Update(s.ctx, func(q sqldb.Queryer) error {
			_, err := q.ExecContext(s.ctx, "UPDATE file_contents SET expires = "+s.now()+" + ? WHERE id = ? AND expires > 1", graceSeconds, s.row.content)
			return err
		}); err != nil {
			return sqldb.Known(err)
		}
	}
	n := min(blockSize-s.off%blockSize, s.row.size-s.off)
	if err := s.fill(s.ctx, s.row, s.buf[:n], s.off); err != nil {
		return err
	}
	s.left, s.off = s.buf[:n], s.off+n
	return nil
}

// Close ends the reading.
func (s *stream) Close() error { return nil }
