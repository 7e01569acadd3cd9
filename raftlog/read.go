package raftlog

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// OpenRead opens the log in dir to be read, whichever store wrote it, and
// changes nothing there. Entries are verified as Watch does; every write fails.
// A log that a node has open is an error: read a copy, or stop the node.
func OpenRead(dir string) (Store, error) {
	kind, err := only(dir)
	if err != nil {
		return nil, fmt.Errorf("read raft log: %w", err)
	}
	open := readPebble
	if kind == Bolt {
		open = readBolt
	}
	s, err := open(dir)
	if errors.Is(err, bbolt.ErrTimeout) || errors.Is(err, ErrInUse) {
		err = errors.New("it is in use: stop the node, or read a copy")
	}
	if err != nil {
		return nil, fmt.Errorf("read raft log in %s: %w", dir, err)
	}
	return Watch(s, WatchOptions{}), nil
}

func readBolt(dir string) (Store, error) {
	path := filepath.Join(dir, boltFile)
	s, err := boltdb.New(boltdb.Options{
		Path:        path,
		BoltOptions: &bbolt.Options{Timeout: boltLock, ReadOnly: true},
	})
	if err != nil {
		return nil, err
	}
	return boltStore{s, path}, nil
}

func readPebble(dir string) (Store, error) {
	s := newPebble()
	db, err := openDB(dir, &pebble.Options{ReadOnly: true, MaxOpenFiles: pebbleFiles, Logger: pebbleLog{s}})
	if err = errors.Join(err, s.failed()); err == nil {
		s.db = db
		err = s.bounds()
	}
	if err != nil && db != nil {
		err = errors.Join(err, db.Close())
	}
	return s, err
}
