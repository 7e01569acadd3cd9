package sqlfs

import (
	"bytes"
	"context"
	"time"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// change is one Op in its transaction.
type change struct {
	*FS
	ctx  context.Context
	q    sqldb.Queryer
	op   vfs.Op
	many bool // it has made or moved more than what is in one directory
}

// Do makes one change, in one transaction.
func (f *FS) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	do := map[vfs.Verb]func(*change) (int64, error){
		vfs.Create: (*change).create, vfs.Mkdir: (*change).mkdir, vfs.Write: (*change).write, vfs.Truncate: (*change).truncate,
		vfs.Chmod: (*change).chmod, vfs.Touch: (*change).touch, vfs.Remove: (*change).remove, vfs.RemoveAll: (*change).remove,
		vfs.Rename: (*change).rename,
	}[op.Verb]
	if do == nil || len(op.Refs) > 0 {
		return vfs.Result{}, vfs.Unsupported
	}
	if replaces(op) {
		return f.Put(ctx, op, bytes.NewReader(op.Data))
	}
	return f.update(ctx, op, do)
}

func replaces(op vfs.Op) bool {
	return op.Verb == vfs.Write && op.Flag&vfs.FlagTruncate != 0 && op.Flag&vfs.FlagCreate != 0 && op.Off == 0
}

// update runs do in a transaction, if the condition of the Op holds there.
func (f *FS) update(ctx context.Context, op vfs.Op, do func(*change) (int64, error)) (r vfs.Result, err error) {
	var many bool
	err = f.db.Update(ctx, func(q sqldb.Queryer) (err error) {
		c := &change{FS: f, ctx: ctx, q: q, op: op}
		if err := c.check(); err != nil {
			return err
		}
		if r.N, err = do(c); err != nil {
			return err
		}
		many = c.many
		if now, err := c.find(ctx, q, op.Path, ""); err == nil {
			r.Version = uint64(now.version)
		}
		return nil
	})
	switch { // an error may hide that it has been done
	case many || err != nil:
		f.cache.changed()
	case op.To != "":
		f.cache.changed(op.Path.Dir(), op.To.Dir(), op.Path, op.To)
	default:
		f.cache.changed(op.Path.Dir(), op.Path)
	}
	if err != nil {
		return vfs.Result{}, err
	}
	return r, nil
}

// check holds the condition of the Op against what is there.
func (c *change) check() error {
	if c.op.If.Kind == vfs.Always {
		return nil
	}
	r, err := c.find(c.ctx, c.q, c.op.Path, forUpdate)
	if err != nil && vfs.KindOf(err) != vfs.NotFound {
		return err
	}
	now := uint64(0)
	if err == nil {
		now = uint64(r.version)
	}
	if ok := map[vfs.CondKind]bool{vfs.IfAbsent: now == 0, vfs.IfExists: now != 0,
		vfs.IfVersion: now != 0 && now == c.op.If.Version}[c.op.If.Kind]; !ok {
		return &vfs.Error{Kind: vfs.Stale, Version: now}
	}
	return nil
}

func (c *change) exec(query string, args ...any) (int64, error) {
	r, err := c.q.ExecContext(c.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// add makes a row in a directory that is there, and returns it.
func (c *change) add(p vfs.Path, dir bool, mode vfs.Mode) (row, error) {
	parent, err := c.directory(c.ctx, c.q, p.Dir(), forShare)
	if err != nil {
		return row{}, err
	}
	r := row{path: string(p), dir: dir, mode: mode & vfs.ModePerm, mtime: time.Now(), id: newID(), version: newID()}
	_, err = c.exec(`INSERT INTO files (path, is_dir, mode, size, mod_time, mod_nanos, id, parent, version, content, data)
		VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, 0, ?)`, r.path, dir, uint32(r.mode), r.mtime.Unix(), r.mtime.Nanosecond(), r.id, parent.id, r.version, []byte{})
	return r, err
}

func perm(m, def vfs.Mode) vfs.Mode {
	if m == 0 {
		return def
	}
	return m
}

// free returns nil if nothing is at p.
func (c *change) free(p vfs.Path) error {
	r, err := c.find(c.ctx, c.q, p, forUpdate)
	switch {
	case err == nil && r.dir:
		return vfs.Exists.With("directory")
	case err == nil:
		return vfs.Exists
	case vfs.KindOf(err) != vfs.NotFound:
		return err
	}
	return nil
}

func (c *change) create() (int64, error) {
	if err := c.free(c.op.Path); err != nil {
		return 0, err
	}
	_, err := c.add(c.op.Path, false, perm(c.op.Mode, 0o644))
	return 0, err
}

func (c *change) mkdir() (int64, error) {
	if err := c.free(c.op.Path); err != nil {
		return 0, err
	}
	_, err := c.add(c.op.Path, true, perm(c.op.Mode, 0o755))
	return 0, err
}

// parents makes the directories above p that are missing.
func (c *change) parents(p vfs.Path) error {
	if p.IsRoot() {
		return nil
	}
	dir := p.Dir()
	_, err := c.directory(c.ctx, c.q, dir, "")
	if vfs.KindOf(err) != vfs.NotFound {
		return err
	}
	if err := c.parents(dir); err != nil {
		return err
	}
	c.many = true
	_, err = c.add(dir, true, 0o755)
	return err
}

func (c *change) chmod() (int64, error) {
	n, err := c.exec("UPDATE files SET mode = ?, version = ? WHERE path = ?", uint32(c.op.Mode.Perm()), newID(), string(c.op.Path))
	if err == nil && n == 0 {
		_, err = c.find(c.ctx, c.q, c.op.Path, "")
	}
	return 0, err
}

func (c *change) touch() (int64, error) {
	now := time.Now()
	n, err := c.exec("UPDATE files SET mod_time = ?, mod_nanos = ?, version = ? WHERE path = ?",
		now.Unix(), now.Nanosecond(), newID(), string(c.op.Path))
	if err == nil && n == 0 {
		return c.create()
	}
	return 0, err
}
