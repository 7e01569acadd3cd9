package raftlog

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// stores are the ways to open a store over what an earlier open left.
func stores(t *testing.T) map[string]func() Store {
	dir, mem := t.TempDir(), vfs.NewMem()
	must := func(s Store, err error) Store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	return map[string]func() Store{
		"bolt":        func() Store { return must(OpenBolt(filepath.Join(dir, "a", "b"))) },
		"pebble":      func() Store { return must(OpenPebble("raft", mem)) },
		"pebble disk": func() Store { return must(OpenPebble(filepath.Join(dir, "p", "q"), nil)) },
		"watch bolt": func() Store {
			return Watch(must(OpenBolt(filepath.Join(dir, "c"))), WatchOptions{MaxCacheBytes: 1 << 10})
		},
		"watch pebble": func() Store {
			return Watch(must(OpenPebble("watched", mem)), WatchOptions{MaxCacheBytes: 1 << 10})
		},
	}
}

func entry(index uint64, data string) *raft.Log {
	types := [...]raft.LogType{raft.LogCommand, raft.LogNoop, raft.LogBarrier, raft.LogConfiguration}
	return &raft.Log{
		Index: index, Term: index/10 + 1, Type: types[index%4], Data: []byte(data),
		AppendedAt: time.Unix(int64(index), 42).UTC(),
	}
}

func entries(from, to uint64) (logs []*raft.Log) {
	for i := from; i <= to; i++ {
		logs = append(logs, entry(i, "data of an entry"))
	}
	return logs
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// span fails the test unless s holds exactly the entries from first to last.
func span(t *testing.T, s Store, first, last uint64) {
	t.Helper()
	f, err := s.FirstIndex()
	check(t, err)
	l, err := s.LastIndex()
	check(t, err)
	if f != first || l != last {
		t.Fatalf("log is %d to %d, want %d to %d", f, l, first, last)
	}
	for i := first; i <= last && i != 0; i++ {
		same(t, s, entry(i, "data of an entry"))
	}
	var log raft.Log
	for _, i := range []uint64{0, first - 1, last + 1, last + 1000} {
		if err := s.GetLog(i, &log); !errors.Is(err, raft.ErrLogNotFound) {
			t.Fatalf("entry %d outside of the log: %v", i, err)
		}
	}
}

func same(t *testing.T, s Store, want *raft.Log) {
	t.Helper()
	var got raft.Log
	check(t, s.GetLog(want.Index, &got))
	if got.Index != want.Index || got.Term != want.Term || got.Type != want.Type ||
		!bytes.Equal(got.Data, want.Data) || !bytes.Equal(got.Extensions, want.Extensions) ||
		!got.AppendedAt.Equal(want.AppendedAt) {
		t.Fatalf("entry %d is %+v, want %+v", want.Index, got, *want)
	}
}

func TestSuite(t *testing.T) {
	for name := range stores(t) {
		t.Run(name, func(t *testing.T) {
			open := stores(t)[name]
			for _, c := range []struct {
				name string
				run  func(*testing.T, Store)
			}{
				{"empty", suiteEmpty}, {"stable", suiteStable}, {"append", suiteAppend}, {"fields", suiteFields},
				{"truncate", suiteTruncate}, {"all", suiteAll}, {"big", suiteBig}, {"long", suiteLong},
			} {
				t.Run(c.name, func(t *testing.T) {
					s := open()
					c.run(t, s)
					check(t, s.Close())
				})
			}
			t.Run("reopen", func(t *testing.T) { suiteReopen(t, open) })
		})
	}
}

func suiteEmpty(t *testing.T, s Store) {
	span(t, s, 0, 0)
	check(t, s.DeleteRange(1, 10))
	check(t, s.StoreLogs(nil))
	span(t, s, 0, 0)
}

func suiteStable(t *testing.T, s Store) {
	if _, err := s.Get([]byte("none")); err == nil || err.Error() != "not found" {
		t.Fatalf("unknown key: %v", err)
	}
	if n, err := s.GetUint64([]byte("none")); n != 0 || err == nil || err.Error() != "not found" {
		t.Fatalf("unknown number: %d, %v", n, err)
	}
	for _, v := range []string{"one", "", "two"} {
		check(t, s.Set([]byte("key"), []byte(v)))
		got, err := s.Get([]byte("key"))
		check(t, err)
		if string(got) != v {
			t.Fatalf("got %q, want %q", got, v)
		}
	}
	check(t, s.SetUint64([]byte("n"), 1<<63+7))
	if n, err := s.GetUint64([]byte("n")); n != 1<<63+7 || err != nil {
		t.Fatalf("number: %d, %v", n, err)
	}
}

func suiteAppend(t *testing.T, s Store) {
	check(t, s.StoreLog(entry(1, "data of an entry")))
	check(t, s.StoreLogs(entries(2, 64)))
	span(t, s, 1, 64)
	check(t, s.DeleteRange(1, 64))
}

func suiteFields(t *testing.T, s Store) {
	for i, l := range []*raft.Log{
		{}, {Data: []byte{0}}, {Extensions: []byte("ext")}, {Data: []byte("d"), Extensions: []byte("e"), Term: 1 << 60},
		{Type: raft.LogConfiguration, AppendedAt: time.Now()},
	} {
		l.Index = uint64(i) + 1
		check(t, s.StoreLog(l))
		same(t, s, l)
	}
	check(t, s.DeleteRange(1, 5))
}

func suiteTruncate(t *testing.T, s Store) {
	check(t, s.StoreLogs(entries(5, 30)))
	span(t, s, 5, 30)
	check(t, s.DeleteRange(5, 9))
	span(t, s, 10, 30)
	check(t, s.DeleteRange(1, 11)) // more than there is
	span(t, s, 12, 30)
	check(t, s.DeleteRange(25, 30))
	span(t, s, 12, 24)
	check(t, s.StoreLogs(entries(25, 26)))
	span(t, s, 12, 26)
	check(t, s.DeleteRange(40, 50))
	check(t, s.DeleteRange(1, 11))
	check(t, s.DeleteRange(20, 19))
	span(t, s, 12, 26)
	other := entry(26, "another entry of another term")
	other.Term = 77
	check(t, s.DeleteRange(26, 26))
	check(t, s.StoreLog(other))
	same(t, s, other)
	check(t, s.DeleteRange(12, 26))
}

func suiteAll(t *testing.T, s Store) {
	check(t, s.StoreLogs(entries(1, 5)))
	check(t, s.DeleteRange(1, 5))
	span(t, s, 0, 0)
	check(t, s.StoreLogs(entries(100, 103))) // as after a snapshot
	span(t, s, 100, 103)
	check(t, s.DeleteRange(0, 1<<63))
	span(t, s, 0, 0)
}

func suiteBig(t *testing.T, s Store) {
	var logs []*raft.Log
	for i := range uint64(16) {
		logs = append(logs, entry(i+1, string(bytes.Repeat([]byte{byte(i)}, 512<<10))))
	}
	check(t, s.StoreLogs(logs))
	for _, l := range logs {
		same(t, s, l)
	}
	check(t, s.DeleteRange(1, 16))
}

func suiteLong(t *testing.T, s Store) {
	const n = 10000
	check(t, s.StoreLogs(entries(1, n)))
	check(t, s.DeleteRange(1, 8500))
	span(t, s, 8501, n)
	check(t, s.DeleteRange(8501, n))
	check(t, s.StoreLogs(entries(1, n)))
	check(t, s.DeleteRange(501, n))
	span(t, s, 1, 500)
	check(t, s.DeleteRange(1, 500))
}

func suiteReopen(t *testing.T, open func() Store) {
	s := open()
	check(t, s.StoreLogs(entries(3, 40)))
	check(t, s.DeleteRange(3, 5))
	check(t, s.DeleteRange(31, 40))
	check(t, s.SetUint64([]byte("CurrentTerm"), 9))
	check(t, s.Close())
	s = open()
	span(t, s, 6, 30)
	if n, err := s.GetUint64([]byte("CurrentTerm")); n != 9 || err != nil {
		t.Fatalf("term: %d, %v", n, err)
	}
	check(t, s.StoreLogs(entries(31, 32)))
	span(t, s, 6, 32)
	check(t, s.Close())
}
