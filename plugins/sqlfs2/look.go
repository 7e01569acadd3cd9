package sqlfs2

import (
	"context"
	"io"
	"sort"
	"strconv"
	"strings"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// Stat describes what is at p.
func (f *FS) Stat(ctx context.Context, _ vfs.View, p vfs.Path) (vfs.Info, error) {
	if p == vfs.Root.Child(readmeName) {
		return f.info(readmeName, "doc", 0o444, int64(len(readme))), nil
	}
	n, err := parse(p)
	if err == nil {
		err = f.there(ctx, n)
	}
	if err != nil {
		return vfs.Info{}, err
	}
	return f.infoOf(ctx, n, p.Base())
}

func (f *FS) info(name, kind string, mode vfs.Mode, size int64) vfs.Info {
	return vfs.Info{Name: name, Size: size, Mode: mode, ModTime: f.started, Meta: vfs.Meta{Name: pluginType, Type: kind}}
}

// infoOf describes what is there.
func (f *FS) infoOf(ctx context.Context, n node, name string) (vfs.Info, error) {
	dir := vfs.ModeDir | 0o755
	switch {
	case n.file == "" && n.session != 0:
		return f.info(name, "session", dir, 0), nil
	case n.file == "" && n.table != "":
		return f.info(name, "table", dir, 0), nil
	case n.file == "" && n.db != "":
		return f.info(name, "database", dir, 0), nil
	case n.file == "":
		return f.info(name, pluginType, dir, 0), nil
	case n.session != 0 && n.file == "ctl":
		return f.info(name, "session-ctl", 0o222, 0), nil
	case n.file == "ctl":
		i := f.info(name, "ctl", 0o444, 0)
		i.Meta.Content = map[string]string{vfs.ConsumeKey: "true"}
		return i, nil
	case writes(n):
		return f.info(name, n.file, 0o222, 0), nil
	}
	b, err := f.content(ctx, n)
	kind, _, _ := strings.Cut(n.file, ".")
	return f.info(name, kind, 0o444, int64(len(b))), err
}

// writes reports whether a file takes SQL or rows, and shows nothing.
func writes(n node) bool {
	return n.file == "query" || n.file == "data" || n.file == "execute" || n.file == "insert_json" || n.session != 0 && n.file == "ctl"
}

// there returns nil if the directories of n are.
func (f *FS) there(ctx context.Context, n node) error {
	if n.session != 0 { // to look at one is not to use it
		_, err := f.find(n)
		return err
	}
	if n.db == "" {
		return nil
	}
	all, err := f.databases(ctx)
	if err = absent(all, n.db, err); err != nil || n.table == "" {
		return err
	}
	all, err = f.tables(ctx, n.db)
	return absent(all, n.table, err)
}

func absent(all []string, name string, err error) error {
	if err == nil && !has(all, name) {
		err = vfs.NotFound
	}
	return err
}

// names reads a column of names, sorted; those that are no identifiers are left out.
func (f *FS) names(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := f.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, sqldb.Kind(err)
	}
	defer rows.Close()
	out := []string{}
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, sqldb.Kind(err)
		}
		if isName(s) {
			out = append(out, s)
		}
	}
	sort.Strings(out)
	return out, sqldb.Kind(rows.Err())
}

func (f *FS) databases(ctx context.Context) ([]string, error) {
	if f.settings.Dialect == sqldb.SQLite {
		return []string{"main"}, nil
	}
	return f.names(ctx, "SELECT schema_name FROM information_schema.schemata")
}

func (f *FS) tables(ctx context.Context, db string) ([]string, error) {
	if f.settings.Dialect == sqldb.SQLite {
		return f.names(ctx, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
	}
	return f.names(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = ?", db)
}

// List names what is in the directory at p.
func (f *FS) List(ctx context.Context, _ vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	if p == vfs.Root.Child(readmeName) {
		return nil, vfs.NotDirectory
	}
	n, err := parse(p)
	if err == nil {
		err = f.there(ctx, n)
	}
	if err == nil && n.file != "" {
		err = vfs.NotDirectory
	}
	if err != nil {
		return nil, err
	}
	names, err := f.children(ctx, n)
	if err != nil {
		return nil, err
	}
	names = names[sort.Search(len(names), func(i int) bool { return names[i] > after }):]
	out := []vfs.Info{}
	for _, name := range names {
		if limit > 0 && len(out) == limit {
			break
		}
		i, err := f.Stat(ctx, nil, p.Child(name))
		if vfs.KindOf(err) == vfs.NotFound {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}

func (f *FS) children(ctx context.Context, n node) (names []string, err error) {
	if n.session != 0 {
		return sessionFiles(n.depth()), nil
	}
	switch n.depth() {
	case 0:
		names, err = f.databases(ctx)
		names = append(names, readmeName)
	case 1:
		names, err = f.tables(ctx, n.db)
	}
	names = append(names, levelFiles(n.depth())...)
	for _, s := range f.all() {
		if s.at == n {
			names = append(names, strconv.FormatInt(s.id, 10))
		}
	}
	sort.Strings(names)
	return names, err
}

// ReadAt reads from the file at p.
func (f *FS) ReadAt(ctx context.Context, _ vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, vfs.Invalid.With("negative offset")
	}
	if p == vfs.Root.Child(readmeName) {
		return strings.NewReader(readme).ReadAt(b, off)
	}
	n, err := parse(p)
	if err == nil {
		err = f.there(ctx, n)
	}
	switch {
	case err != nil:
		return 0, err
	case n.file == "":
		return 0, vfs.IsDirectory
	case writes(n):
		return 0, vfs.Permission.With("write-only")
	case n.file == "ctl":
		return 0, vfs.Invalid.With("reading it opens a session: read it whole")
	}
	content, err := f.content(ctx, n)
	if err != nil {
		return 0, err
	}
	if off >= int64(len(content)) {
		return 0, io.EOF
	}
	c := copy(b, content[off:])
	if c < len(b) {
		return c, io.EOF
	}
	return c, nil
}

// content returns what a file shows.
func (f *FS) content(ctx context.Context, n node) (b []byte, err error) {
	switch n.file {
	case "schema":
		return f.schema(ctx, n)
	case "count":
		var rows int64
		err = f.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+f.table(n)).Scan(&rows)
		return []byte(strconv.FormatInt(rows, 10) + "\n"), sqldb.Kind(err)
	}
	err = f.use(ctx, n, func(s *session) (err error) {
		if n.file == "error" {
			b = []byte(s.err)
			return nil
		}
		b, err = s.result.encode(n.file)
		return err
	})
	return b, err
}

// table returns the name of a table as SQL has it.
func (f *FS) table(n node) string {
	return f.settings.Dialect.Quote(n.db) + "." + f.settings.Dialect.Quote(n.table)
}

func (f *FS) schema(ctx context.Context, n node) ([]byte, error) {
	var name, text string
	var err error
	if f.settings.Dialect == sqldb.SQLite {
		err = f.db.QueryRowContext(ctx, "SELECT sql FROM sqlite_master WHERE name = ?", n.table).Scan(&text)
	} else {
		err = f.db.QueryRowContext(ctx, "SHOW CREATE TABLE "+f.table(n)).Scan(&name, &text)
	}
	return []byte(text + "\n"), sqldb.Kind(err)
}
