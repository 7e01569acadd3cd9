package sqlfs2

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sort"
	"strconv"
	"strings"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// insert puts rows into the table of a session: one object, an array of them, or
// one on each line. All of them, or none.
func (f *FS) insert(ctx context.Context, s *session, n node, b []byte) ([]byte, error) {
	s.result, s.err = result{}, ""
	rows, err := objects(b)
	if err != nil {
		s.err = "execution error: " + err.Error()
		return nil, vfs.Invalid.With(s.err)
	}
	if err := f.ready(ctx, s); err != nil {
		return nil, s.failed(err, "execution error")
	}
	if _, err := s.conn.ExecContext(ctx, "SAVEPOINT pfs_insert"); err != nil {
		return nil, s.failed(err, "execution error")
	}
	for i, row := range rows {
		if err := f.insertOne(ctx, s, n, row); err != nil {
			err = s.failed(err, "execution error: row "+strconv.Itoa(i+1))
			if s.broken == "" {
				if _, err := s.conn.ExecContext(ctx, "ROLLBACK TO pfs_insert"); err != nil {
					s.broken = sqldb.Kind(err).Error()
				}
			}
			return nil, err
		}
	}
	if _, err := s.conn.ExecContext(ctx, "RELEASE SAVEPOINT pfs_insert"); err != nil {
		return nil, s.failed(err, "execution error")
	}
	count := int64(len(rows))
	s.result.done = &done{RowsAffected: count, InsertedCount: &count}
	return json.Marshal(map[string]any{"inserted_count": count, "failed_count": 0})
}

func (f *FS) insertOne(ctx context.Context, s *session, n node, row map[string]any) error {
	columns := make([]string, 0, len(row))
	for c := range row {
		columns = append(columns, c)
	}
	sort.Strings(columns)
	args := make([]any, len(columns))
	for i, c := range columns {
		var err error
		if args[i], err = value(row[c]); err != nil {
			return err
		}
		columns[i] = f.settings.Dialect.Quote(c)
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(args)), ", ")
	_, err := s.conn.ExecContext(ctx, "INSERT INTO "+f.table(n)+" ("+strings.Join(columns, ", ")+") VALUES ("+marks+")", args...)
	return err
}

// objects reads JSON: values one after the other, objects or arrays of them.
func objects(b []byte) (rows []map[string]any, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	for {
		var raw json.RawMessage
		if err := d.Decode(&raw); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, vfs.Invalid.Withf("line %d is not JSON: %v", 1+bytes.Count(b[:d.InputOffset()], []byte("\n")), err)
		}
		some := json.NewDecoder(bytes.NewReader(raw))
		some.UseNumber()
		var one map[string]any
		if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
			var many []map[string]any
			err = some.Decode(&many)
			rows = append(rows, many...)
		} else {
			err = some.Decode(&one)
			rows = append(rows, one)
		}
		if err != nil {
			return nil, vfs.Invalid.Withf("not an object of columns: %v", err)
		}
	}
	for i, r := range rows {
		if len(r) == 0 {
			return nil, vfs.Invalid.Withf("row %d has no columns", i+1)
		}
	}
	if len(rows) == 0 {
		return nil, vfs.Invalid.With("no rows")
	}
	return rows, nil
}
