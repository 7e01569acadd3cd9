package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// ErrCorrupt is wrapped by errors that say that a database is damaged.
var ErrCorrupt = errors.New("database is damaged")

// ErrNewer is wrapped by the error about a database of a later version.
var ErrNewer = errors.New("written by a newer version")

// corrupt marks an error of pebble that tells of damage.
func corrupt(err error) error {
	if err != nil && pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// VerifyTables reads every table of the database in dir, which may be open, and
// compares its blocks with their checksums. Before each it calls pace with how
// many there are, and ends if that is false. [ErrCorrupt] names the first
// damaged one.
func VerifyTables(ctx context.Context, disk FS, dir string, pace func(tables int) bool) error {
	names, err := disk.List(dir)
	if err != nil {
		return err
	}
	var tables []string
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			tables = append(tables, name)
		}
	}
	for _, name := range tables {
		if !pace(len(tables)) {
			return ctx.Err()
		}
		err := verifyTable(ctx, disk, disk.PathJoin(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a compaction has removed it
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func verifyTable(ctx context.Context, disk FS, name string) (err error) {
	f, err := disk.Open(name)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(ctx, readable, sstable.ReaderOptions{})
	if err != nil { // it has closed the file
		return corrupt(err)
	}
	return errors.Join(corrupt(r.ValidateBlockChecksums()), r.Close())
}
