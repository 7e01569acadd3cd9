package raftlog

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

func openMem(t *testing.T, fs vfs.FS) *pebbleStore {
	t.Helper()
	s, err := OpenPebble("node/raft", fs)
	check(t, err)
	return s.(*pebbleStore)
}

func TestPebbleKeepsTheLogWithoutGaps(t *testing.T) {
	s := openMem(t, vfs.NewMem())
	defer s.Close()
	check(t, s.StoreLogs(entries(1, 10)))
	for _, logs := range [][]*raft.Log{entries(12, 12), entries(10, 11), entries(0, 0), {entry(11, ""), entry(13, "")}} {
		if err := s.StoreLogs(logs); err == nil {
			t.Fatalf("entry %d was taken after 10", logs[0].Index)
		}
	}
	if err := s.DeleteRange(3, 5); err == nil {
		t.Fatal("a hole was made")
	}
	span(t, s, 1, 10)
	if !s.IsMonotonic() {
		t.Fatal("not monotonic")
	}
}

func TestPebbleNamesDamage(t *testing.T) {
	s := openMem(t, vfs.NewMem())
	defer s.Close()
	check(t, s.StoreLogs(entries(1, 9)))
	good, _, err := s.db.Get(logKey(2))
	check(t, err)
	for i, b := range [][]byte{nil, {}, {2}, good[:entryHead-1], append([]byte{9}, good[1:]...),
		append(append([]byte{}, good[:18]...), 0xff, 0xff, 0xff, 0xff)} {
		if b == nil {
			check(t, s.db.Delete(logKey(5), pebble.Sync))
		} else {
			check(t, s.db.Set(logKey(5), b, pebble.Sync))
		}
		var log raft.Log
		if err := s.GetLog(5, &log); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("case %d: %v", i, err)
		}
	}
	check(t, s.Set([]byte("n"), []byte("short")))
	if _, err := s.GetUint64([]byte("n")); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("no number: %v", err)
	}
}

func TestPebbleClosed(t *testing.T) {
	s := openMem(t, vfs.NewMem())
	check(t, s.Close())
	check(t, s.Close())
	var log raft.Log
	_, first := s.FirstIndex()
	_, get := s.Get([]byte("k"))
	for i, err := range []error{first, get, s.GetLog(1, &log), s.StoreLog(entry(1, "")), s.Set(nil, nil)} {
		if !errors.Is(err, ErrClosed) {
			t.Fatalf("call %d after Close: %v", i, err)
		}
	}
}

func TestOpenRefusesASecondOwner(t *testing.T) {
	dir := t.TempDir()
	for name, open := range map[string]func() (Store, error){
		"bolt":   func() (Store, error) { return OpenBolt(dir) },
		"pebble": func() (Store, error) { return OpenPebble(dir, nil) },
	} {
		s, err := open()
		check(t, err)
		if _, err := open(); err == nil {
			t.Fatalf("%s: opened twice", name)
		}
		check(t, s.Close())
	}
}

// FuzzEntry: no bytes make reading panic, and what was written is read.
func FuzzEntry(f *testing.F) {
	f.Add([]byte{}, []byte("data"), uint64(3))
	f.Fuzz(func(t *testing.T, ext, data []byte, n uint64) {
		want := raft.Log{Index: n, Term: n, Type: raft.LogType(n), Data: data, Extensions: ext}
		b := make([]byte, entryLen(&want))
		putEntry(b, &want)
		var got raft.Log
		check(t, getEntry(n, b, &got))
		if string(got.Data) != string(data) || string(got.Extensions) != string(ext) || got.Term != n {
			t.Fatalf("%+v became %+v", want, got)
		}
		if err := getEntry(n, data, &got); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		sealed, _ := sealAll([]*raft.Log{&want})
		check(t, unseal(n, sealed[0]))
	})
}
