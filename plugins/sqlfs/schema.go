package sqlfs

import (
	"context"
	"strings"
	"time"

	"github.com/pfs-project/pfs/sqldb"
	"github.com/pfs-project/pfs/vfs"
)

// tables are made if they are missing.
func tables(d sqldb.Dialect) []string {
	if d == sqldb.SQLite {
		return []string{
			`CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, is_dir INTEGER NOT NULL, mode INTEGER NOT NULL,
			 size INTEGER NOT NULL, mod_time INTEGER NOT NULL, mod_nanos INTEGER NOT NULL DEFAULT 0, id INTEGER NOT NULL DEFAULT 0,
			 parent INTEGER NOT NULL DEFAULT 0, version INTEGER NOT NULL DEFAULT 0, content INTEGER NOT NULL DEFAULT 0, data BLOB)`,
			`CREATE TABLE IF NOT EXISTS file_contents (id INTEGER PRIMARY KEY, expires INTEGER)`,
			`CREATE INDEX IF NOT EXISTS file_contents_expires ON file_contents (expires) WHERE expires IS NOT NULL`,
			`CREATE TABLE IF NOT EXISTS file_blocks (content INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL,
			 PRIMARY KEY (content, n))`,
		}
	}
	return []string{
		`CREATE TABLE IF NOT EXISTS files (path VARBINARY(3000) PRIMARY KEY, is_dir TINYINT NOT NULL, mode INT UNSIGNED NOT NULL,
		 size BIGINT NOT NULL, mod_time BIGINT NOT NULL, mod_nanos INT NOT NULL, id BIGINT NOT NULL,
		 parent BIGINT NOT NULL, version BIGINT NOT NULL, content BIGINT NOT NULL DEFAULT 0, data LONGBLOB,
		 KEY files_parent (parent, path)) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`,
		`CREATE TABLE IF NOT EXISTS file_contents (id BIGINT PRIMARY KEY, expires BIGINT,
		 KEY file_contents_expires (expires)) ENGINE=InnoDB`,
		`CREATE TABLE IF NOT EXISTS file_blocks (content BIGINT NOT NULL, n BIGINT NOT NULL, data MEDIUMBLOB NOT NULL,
		 PRIMARY KEY (content, n)) ENGINE=InnoDB`,
	}
}

// prepare makes the tables and the root.
func (f *FS) prepare(ctx context.Context) error {
	return f.db.Update(ctx, func(q sqldb.Queryer) error {
		for _, t := range tables(f.db.Dialect) {
			if _, err := q.ExecContext(ctx, t); err != nil {
				return err
			}
		}
		if _, err := q.ExecContext(ctx, "SELECT content FROM files WHERE path = '/'"); err != nil {
			if err := f.adopt(ctx, q); err != nil {
				return err
			}
		}
		insert := "INSERT IGNORE"
		if f.db.Dialect == sqldb.SQLite {
			insert = "INSERT OR IGNORE"
			if _, err := q.ExecContext(ctx, "CREATE INDEX IF NOT EXISTS files_parent ON files (parent, path)"); err != nil {
				return err
			}
		}
		_, err := q.ExecContext(ctx, insert+` INTO files (path, is_dir, mode, size, mod_time, mod_nanos, id, parent, version)
			VALUES ('/', 1, 493, 0, ?, 0, 1, 0, ?)`, time.Now().Unix(), newID())
		return err
	})
}

// adopt adds to a table of another server what is missing in it. Its files keep
// their content in the row.
func (f *FS) adopt(ctx context.Context, q sqldb.Queryer) error {
	if f.db.Dialect != sqldb.SQLite {
		return vfs.Invalid.With("the database has a table files of another program; give another database")
	}
	steps := []string{}
	for _, c := range strings.Fields("mod_nanos id parent version content") {
		steps = append(steps, "ALTER TABLE files ADD COLUMN "+c+" INTEGER NOT NULL DEFAULT 0")
	}
	// Without its last name a path is the directory and a slash.
	dir := `rtrim(rtrim(path, replace(path, '/', '')), '/')`
	steps = append(steps,
		"UPDATE files SET id = rowid, version = rowid + 1, size = coalesce(length(data), 0)",
		"UPDATE files SET parent = coalesce((SELECT d.id FROM files d WHERE d.path = CASE "+strings.ReplaceAll(dir, "path", "files.path")+
			" WHEN '' THEN '/' ELSE "+strings.ReplaceAll(dir, "path", "files.path")+" END), 0) WHERE path <> '/'")
	for _, s := range steps {
		if _, err := q.ExecContext(ctx, s); err != nil {
			return vfs.Invalid.Withf("the table files is of another program: %v", err)
		}
	}
	return nil
}
