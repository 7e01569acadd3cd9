package sqlfs2

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

const (
	mostSQL  = 1 << 20  // bytes of a statement
	mostData = 16 << 20 // bytes of rows in one write
)

// Do carries out one Op.
func (f *FS) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	if op.Verb == vfs.Write && len(op.Refs) == 0 {
		return f.Put(ctx, op, bytes.NewReader(op.Data))
	}
	if len(op.Refs) > 0 {
		return vfs.Result{}, vfs.Unsupported
	}
	switch op.Verb {
	case vfs.Consume, vfs.Truncate, vfs.RemoveAll:
	default:
		return vfs.Result{}, vfs.Unsupported
	}
	n, err := parse(op.Path)
	if err == nil && op.Path != vfs.Root.Child(readmeName) {
		err = f.there(ctx, n)
	}
	if err != nil {
		return vfs.Result{}, err
	}
	switch {
	case op.Verb == vfs.RemoveAll:
		return vfs.Result{}, f.remove(ctx, n)
	case op.Verb == vfs.Truncate && writes(n):
		return vfs.Result{}, nil // a write is a command, whatever was before
	case op.Verb == vfs.Truncate:
		return vfs.Result{}, vfs.Permission.With("read-only")
	case n.file != "ctl" || n.session != 0:
		return vfs.Result{}, vfs.Unsupported
	}
	s, err := f.begin(ctx, n)
	if err != nil {
		return vfs.Result{}, err
	}
	return vfs.Result{Data: []byte(strconv.FormatInt(s.id, 10) + "\n")}, nil
}

// Put takes what is written to a file, which is one command.
func (f *FS) Put(ctx context.Context, op vfs.Op, r io.Reader) (vfs.Result, error) {
	if op.Path == vfs.Root.Child(readmeName) {
		return vfs.Result{}, vfs.Permission.With("read-only")
	}
	n, err := parse(op.Path)
	if err == nil {
		err = f.there(ctx, n)
	}
	switch {
	case err != nil:
		return vfs.Result{}, err
	case n.file == "":
		return vfs.Result{}, vfs.IsDirectory
	case !writes(n):
		return vfs.Result{}, vfs.Permission.With("read-only")
	case op.If.Kind == vfs.IfVersion || op.If.Kind == vfs.IfAbsent:
		return vfs.Result{}, vfs.Invalid.With("a command has no condition")
	}
	most := int64(mostSQL)
	if n.file == "data" || n.file == "insert_json" {
		most = mostData
	}
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return vfs.Result{}, err
	}
	if int64(len(b)) > most {
		return vfs.Result{}, vfs.TooLarge.Withf("at most %d bytes at once", most)
	}
	// A client that leaves does not take the transaction along.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.limit)
	defer cancel()
	res := vfs.Result{N: int64(len(b))}
	if n.session != 0 {
		return res, f.use(ctx, n, func(s *session) error { return f.command(ctx, s, n, b) })
	}
	res.Data, err = f.once(ctx, n, b)
	return res, err
}

// command carries out what is written to a file of a session.
func (f *FS) command(ctx context.Context, s *session, n node, b []byte) error {
	switch n.file {
	case "ctl":
		return f.control(ctx, s, strings.TrimSpace(string(b)))
	case "data":
		_, err := f.insert(ctx, s, n, b)
		return err
	}
	st, err := parseStatement(b)
	if err != nil {
		s.err = err.Error()
		return err
	}
	return f.query(ctx, s, st)
}

// once carries out what is written to a file of a table, in a session that is
// committed and closed: the older generation of the tree. The answer has result.
func (f *FS) once(ctx context.Context, n node, b []byte) ([]byte, error) {
	s, err := f.begin(ctx, n)
	if err != nil {
		return nil, err
	}
	at := n
	at.session = s.id
	var answer []byte
	err = f.use(ctx, at, func(s *session) (err error) {
		if n.file == "insert_json" {
			answer, err = f.insert(ctx, s, n, b)
		} else if err = f.command(ctx, s, node{file: "query"}, b); err == nil {
			answer, err = s.result.encode("result")
		}
		if err == nil {
			err = f.commit(ctx, s)
		}
		return err
	})
	f.end(s, "done")
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]json.RawMessage{"result": append(json.RawMessage{}, bytes.TrimSpace(orNull(answer))...)})
}

func orNull(b []byte) []byte {
	if len(bytes.TrimSpace(b)) == 0 {
		return []byte("null")
	}
	return b
}

// remove ends a session, drops a table or drops a database.
func (f *FS) remove(ctx context.Context, n node) error {
	switch {
	case n.file != "" || n.session == 0 && n.db == "":
		return vfs.Unsupported
	case n.session != 0:
		f.mu.Lock()
		s := f.sessions[n.session]
		f.mu.Unlock()
		if s != nil {
			f.end(s, "removed")
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.limit)
	defer cancel()
	query := "DROP DATABASE " + f.settings.Dialect.Quote(n.db)
	switch {
	case n.table != "":
		query = "DROP TABLE " + f.table(n)
	case f.settings.Dialect == sqldb.SQLite:
		return vfs.Unsupported.With("the database of a SQLite file cannot be dropped")
	}
	_, err := f.db.ExecContext(ctx, query)
	return sqldb.Kind(err)
}
