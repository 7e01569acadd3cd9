package sqlfs2

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// result is what the last statement of a session gave.
type result struct {
	columns []string
	rows    [][]any
	size    int64 // bytes, about
	done    *done
}

// done is what a statement answers that gives no rows.
type done struct {
	LastInsertID  int64  `json:"last_insert_id"`
	RowsAffected  int64  `json:"rows_affected"`
	InsertedCount *int64 `json:"inserted_count,omitempty"`
}

// shown makes of a value what JSON and CSV show. Numbers keep every digit.
func shown(v any, kind string) any {
	switch v := v.(type) {
	case []byte:
		s := string(v)
		number := strings.Contains(kind, "INT") || kind == "DECIMAL" || kind == "FLOAT" || kind == "DOUBLE" || kind == "YEAR"
		switch {
		case number && json.Valid(v):
			return json.Number(s)
		case !utf8.Valid(v):
			return "base64:" + base64.StdEncoding.EncodeToString(v)
		}
		return s
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case string:
		if !utf8.ValidString(v) {
			return "base64:" + base64.StdEncoding.EncodeToString([]byte(v))
		}
	}
	return v
}

// encode returns the result in the form that a file of a session has.
func (r result) encode(file string) ([]byte, error) {
	switch {
	case r.done != nil:
		b, err := json.MarshalIndent(r.done, "", "  ")
		return append(b, '\n'), err
	case r.columns == nil:
		return nil, nil
	case file == "result.csv":
		return r.csv()
	}
	return r.json(file == "result.ndjson")
}

// json writes one object for each row, its members in the order of the columns.
func (r result) json(lines bool) ([]byte, error) {
	var b bytes.Buffer
	open, between, indent, end := "[\n", ",\n", "  ", "\n]\n"
	if lines {
		open, between, indent, end = "", "\n", "", "\n"
	}
	if len(r.rows) == 0 {
		if lines {
			return nil, nil
		}
		return []byte("[]\n"), nil
	}
	b.WriteString(open)
	for i, row := range r.rows {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(indent + "{")
		for j, v := range row {
			name, err := json.Marshal(r.columns[j])
			if err != nil {
				return nil, err
			}
			value, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			if j > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%s: %s", name, value)
		}
		b.WriteByte('}')
	}
	b.WriteString(end)
	return b.Bytes(), nil
}

func (r result) csv() ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.Write(r.columns); err != nil {
		return nil, err
	}
	for _, row := range r.rows {
		cells := make([]string, len(row))
		for i, v := range row {
			if v != nil {
				cells[i] = fmt.Sprint(v)
			}
		}
		if err := w.Write(cells); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}
