package sqlfs2

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// statement is what is written to a query: SQL, or an object with parameters.
type statement struct {
	SQL    string `json:"sql"`
	Params []any  `json:"params"`
}

func parseStatement(b []byte) (st statement, err error) {
	text := strings.TrimSpace(string(b))
	if !strings.HasPrefix(text, "{") {
		st.SQL = text
	} else {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		d.DisallowUnknownFields()
		if err := d.Decode(&st); err != nil {
			return st, vfs.Invalid.Withf(`query error: not {"sql": "…", "params": […]}: %v`, err)
		}
		for i, p := range st.Params {
			if st.Params[i], err = value(p); err != nil {
				return st, err
			}
		}
	}
	if strings.TrimSpace(st.SQL) == "" {
		return st, vfs.Invalid.With("query error: no statement")
	}
	return st, nil
}

// value makes of a JSON value what a driver takes. Whole numbers stay whole.
func value(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		if !strings.ContainsAny(v.String(), ".eE") {
			return v.String(), nil // longer than 64 bits: the database knows
		}
		return v.Float64()
	case map[string]any, []any:
		b, err := json.Marshal(v)
		return string(b), err
	}
	return v, nil
}

// keyword returns the first word of a statement, past comments.
func keyword(s string) string {
	for {
		s = strings.TrimLeft(s, " \t\r\n;(")
		switch {
		case strings.HasPrefix(s, "--"):
			_, s, _ = strings.Cut(s, "\n")
		case strings.HasPrefix(s, "/*"):
			_, s, _ = strings.Cut(s, "*/")
		default:
			end := strings.IndexFunc(s, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') })
			if end < 0 {
				end = len(s)
			}
			return strings.ToUpper(s[:end])
		}
	}
}

// query runs a statement in a session, and keeps what it gives.
func (f *FS) query(ctx context.Context, s *session, st statement) error {
	s.result, s.err = result{}, ""
	words := strings.Fields(strings.ToUpper(strings.TrimRight(st.SQL, "; \n")))
	switch k := keyword(st.SQL); {
	case k == "COMMIT" || k == "END":
		return f.commit(ctx, s)
	case k == "ROLLBACK" && len(words) <= 2:
		return f.rollback(ctx, s)
	case k == "BEGIN" || k == "START":
		return f.ready(ctx, s) // it has begun
	}
	if err := f.ready(ctx, s); err != nil {
		return s.failed(err, "query error")
	}
	before, err := f.changes(ctx, s)
	if err != nil {
		return s.failed(err, "query error")
	}
	rows, err := s.conn.QueryContext(ctx, st.SQL, st.Params...)
	if err != nil {
		return s.failed(err, "query error")
	}
	s.result, err = collect(rows, f.most)
	if err != nil {
		s.result = result{}
		return s.failed(err, "query error")
	}
	if len(s.result.columns) == 0 {
		s.result.done, err = f.done(ctx, s, before)
	}
	if err != nil {
		return s.failed(err, "query error")
	}
	return nil
}

// changes counts what a connection to SQLite has changed, ever.
func (f *FS) changes(ctx context.Context, s *session) (n int64, err error) {
	if f.settings.Dialect == sqldb.SQLite {
		err = s.conn.QueryRowContext(ctx, "SELECT total_changes()").Scan(&n)
	}
	return n, err
}

// done tells what a statement has done that gives no rows.
func (f *FS) done(ctx context.Context, s *session, before int64) (*done, error) {
	d := &done{}
	if f.settings.Dialect == sqldb.MySQL {
		err := s.conn.QueryRowContext(ctx, "SELECT LAST_INSERT_ID(), GREATEST(ROW_COUNT(), 0)").Scan(&d.LastInsertID, &d.RowsAffected)
		return d, err
	}
	var total int64
	err := s.conn.QueryRowContext(ctx, "SELECT last_insert_rowid(), changes(), total_changes()").Scan(&d.LastInsertID, &d.RowsAffected, &total)
	if total == before {
		d.RowsAffected = 0
	}
	return d, err
}

// collect reads all rows, at most so many bytes.
func collect(rows *sql.Rows, most int64) (r result, err error) {
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return r, err
	}
	for _, t := range types {
		r.columns = append(r.columns, t.Name())
	}
	for rows.Next() {
		row := make([]any, len(types))
		to := make([]any, len(types))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			return r, err
		}
		for i := range row {
			row[i] = shown(row[i], types[i].DatabaseTypeName())
			if s, ok := row[i].(string); ok {
				r.size += int64(len(s))
			}
			r.size += int64(len(r.columns[i])) + 16
		}
		if r.size > most {
			return r, vfs.TooLarge.Withf("the result has more than %d bytes (max_result); ask for fewer rows with LIMIT", most)
		}
		r.rows = append(r.rows, row)
	}
	return r, rows.Err()
}
