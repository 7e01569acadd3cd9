package sqlfs

import (
	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// within is the condition on the paths of all that lies under p: '0' follows
// the slash. It is exact in any dialect, unlike LIKE.
const within = "path >= ? AND path < ?"

func inside(p vfs.Path) (from, to string) {
	from = below(p)
	return from, from[:len(from)-1] + "0"
}

func (c *change) remove() (int64, error) {
	if c.op.Path.IsRoot() {
		return 0, vfs.Permission.With("mount point")
	}
	r, err := c.find(c.ctx, c.q, c.op.Path, forUpdate)
	if err != nil {
		return 0, err
	}
	if r.dir && c.op.Verb == vfs.Remove {
		if err := c.hollow(r); err != nil {
			return 0, err
		}
	}
	if r.dir && c.op.Verb == vfs.RemoveAll {
		c.many = true
		from, to := inside(c.op.Path)
		if _, err := c.hold(from, to); err != nil {
			return 0, err
		}
		if _, err := c.exec("UPDATE file_contents SET expires = "+c.now()+" + ? WHERE id IN (SELECT content FROM files WHERE "+
			within+" AND content <> 0)", graceSeconds, from, to); err != nil {
			return 0, err
		}
		if _, err := c.exec("DELETE FROM files WHERE "+within, from, to); err != nil {
			return 0, err
		}
	}
	return 0, c.unlink(r)
}

// hollow returns nil if a directory has nothing in it.
func (c *change) hollow(r row) error {
	var n int
	err := c.q.QueryRowContext(c.ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM files WHERE parent = ? LIMIT 1) AS some", r.id).Scan(&n)
	if err == nil && n > 0 {
		return vfs.NotEmpty
	}
	return err
}

// unlink removes a row. Its content stays for those who are reading it.
func (c *change) unlink(r row) error {
	if err := c.discard(r.content); err != nil {
		return err
	}
	_, err := c.exec("DELETE FROM files WHERE path = ?", r.path)
	return err
}

// discard lets a content expire that no row has any more.
func (c *change) discard(content int64) error {
	if content == 0 {
		return nil
	}
	_, err := c.exec("UPDATE file_contents SET expires = "+c.now()+" + ? WHERE id = ?", graceSeconds, content)
	return err
}

func (c *change) rename() (int64, error) {
	r, err := c.find(c.ctx, c.q, c.op.Path, forUpdate)
	switch {
	case err != nil:
		return 0, err
	case c.op.Path.IsRoot() || c.op.To.IsRoot():
		return 0, vfs.Permission.With("mount point")
	case c.op.To == c.op.Path:
		return 0, nil
	case r.dir && c.op.To.Under(c.op.Path):
		return 0, vfs.Invalid.With("into itself")
	}
	old, err := c.find(c.ctx, c.q, c.op.To, forUpdate)
	if err = c.replaceable(r, old, err); err != nil {
		return 0, err
	}
	parent, err := c.directory(c.ctx, c.q, c.op.To.Dir(), forShare)
	if err != nil {
		return 0, err
	}
	if r.dir {
		if err := c.moveBelow(); err != nil {
			return 0, err
		}
	}
	_, err = c.exec("UPDATE files SET path = ?, parent = ?, version = ? WHERE path = ?",
		string(c.op.To), parent.id, newID(), r.path)
	return 0, err
}

// replaceable makes room for r at the new name, where looking found old.
func (c *change) replaceable(r, old row, err error) error {
	switch {
	case vfs.KindOf(err) == vfs.NotFound:
		return nil
	case err != nil:
		return err
	case r.dir && !old.dir:
		return vfs.NotDirectory
	case !r.dir && old.dir:
		return vfs.IsDirectory
	case old.dir:
		if err := c.hollow(old); err != nil {
			return err
		}
	}
	return c.unlink(old)
}

// moveBelow gives all below the path its new beginning.
func (c *change) moveBelow() error {
	c.many = true
	from, to := inside(c.op.Path)
	longest, err := c.hold(from, to)
	if err != nil {
		return err
	}
	if longest+int64(len(c.op.To)-len(c.op.Path)) > maxPath {
		return vfs.Invalid.Withf("a path below would be longer than %d bytes", maxPath)
	}
	path := "CONCAT(?, SUBSTR(path, ?))" // of bytes
	if c.db.Dialect == sqldb.SQLite {
		path = "CAST(CAST(? AS BLOB) || SUBSTR(CAST(path AS BLOB), ?) AS TEXT)"
	}
	_, err = c.exec("UPDATE files SET path = "+path+", version = version + 1 WHERE "+within, string(c.op.To), len(c.op.Path)+1, from, to)
	return err
}

// hold keeps all rows of a range as they are until the transaction ends, and
// returns how many bytes the longest path has. Who makes a file holds the row of
// its directory, so that nothing comes into the range either.
func (c *change) hold(from, to string) (longest int64, err error) {
	path := "path"
	if c.db.Dialect == sqldb.SQLite {
		path = "CAST(path AS BLOB)" // in bytes
	}
	query := c.locked("SELECT COALESCE(MAX(LENGTH("+path+")), 0) FROM files WHERE "+within, forUpdate)
	err = c.q.QueryRowContext(c.ctx, query, from, to).Scan(&longest)
	return longest, err
}
