package queuefs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/sqldb/sqldbtest"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// onSQL runs a test on both kinds of database; fresh gives the settings of an
// empty one.
func onSQL(t *testing.T, test func(t *testing.T, fresh func(t *testing.T) vfs.Config)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, func(t *testing.T) vfs.Config {
			return vfs.Config{"backend": "sqlite", "db_path": filepath.Join(t.TempDir(), "queue.db")}
		})
	})
	t.Run("mariadb", func(t *testing.T) {
		s := sqldbtest.Start(t)
		n := 0
		test(t, func(*testing.T) vfs.Config { n++; return s.Config(fmt.Sprintf("db-%d", n)) })
	})
}

// TestSQL holds the SQL backends to the laws of all filesystems, and plays the
// scripts of the memory backend.
func TestSQL(t *testing.T) {
	onSQL(t, func(t *testing.T, fresh func(*testing.T) vfs.Config) {
		p := Plugin()
		make := p.New
		p.New = func(e vfs.Env, _ vfs.Config) (vfs.FileSystem, error) {
			e.Log = slog.New(slog.DiscardHandler)
			return make(e, fresh(t)) // each mount has its own
		}
		vfstest.Run(t, vfstest.Subject{Plugin: p, Config: fresh(t), Scripts: "testdata"})
	})
}

func startSQL(t *testing.T, c vfs.Config) *sqlFS {
	t.Helper()
	fs, err := Plugin().New(vfs.Env{Node: "n1", Log: slog.New(slog.DiscardHandler)}, c)
	if err != nil {
		t.Fatal(err)
	}
	f := fs.(*sqlFS)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// sqlUser uses the files of a mount.
type sqlUser struct {
	*testing.T
	*sqlFS
}

func (u sqlUser) write(path, text string, o vfs.Options) (string, error) {
	r, err := u.Do(u.Context(), vfs.Op{Verb: vfs.Write, Path: vfs.Path(path), Flag: vfs.FlagCreate | vfs.FlagTruncate, Data: []byte(text), Target: o.Encode()})
	return string(r.Data), err
}

func (u sqlUser) must(path, text string) string {
	u.Helper()
	s, err := u.write(path, text, nil)
	if err != nil {
		u.Fatalf("%s: %s: %v", path, text, err)
	}
	return s
}

func (u sqlUser) fails(path, text string, want vfs.Kind) {
	u.Helper()
	if _, err := u.write(path, text, nil); vfs.KindOf(err) != want {
		u.Fatalf("%s: %s: %v, expected %v", path, text, err, want)
	}
}

type sqlTaken struct {
	ID, Data, Lease string
	Attempt, Fence  uint64
	Reason          string
}

func (u sqlUser) take(queue string, o vfs.Options) (m sqlTaken) {
	u.Helper()
	r, err := u.Do(u.Context(), vfs.Op{Verb: vfs.Consume, Path: vfs.Path(queue + "/take"), Target: o.Encode()})
	if err == nil {
		err = json.Unmarshal(r.Data, &m)
	}
	if err != nil {
		u.Fatal(err)
	}
	return m
}

func (u sqlUser) reads(path string) string {
	u.Helper()
	b := make([]byte, 1<<16)
	n, err := u.ReadAt(u.Context(), nil, vfs.Path(path), b, 0)
	if err != io.EOF {
		u.Fatalf("%s: %v", path, err)
	}
	return string(b[:n])
}

// until waits for something.
func (u sqlUser) until(what string, is func() bool) {
	u.Helper()
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for n := 0; !is(); n++ {
		if n == 3000 {
			u.Fatalf("not %s", what)
		}
		<-t.C
	}
}

func (u sqlUser) waiting(p vfs.Path) int {
	u.waits.mu.Lock()
	defer u.waits.mu.Unlock()
	if l := u.waits.lines[p]; l != nil {
		return len(l.waiting)
	}
	return 0
}

func (u sqlUser) names(path string) (names []string) {
	u.Helper()
	infos, err := u.List(u.Context(), nil, vfs.Path(path), "", 0)
	if err != nil {
		u.Fatalf("%s: %v", path, err)
	}
	for _, i := range infos {
		names = append(names, i.Name)
	}
	return names
}

// What is lent comes back by the clock of the database, through any server; who
// was too late is told; after its last attempt a message is dead.
func TestSQLLeases(t *testing.T) {
	onSQL(t, func(t *testing.T, fresh func(*testing.T) vfs.Config) {
		c := fresh(t)
		a, b := sqlUser{t, startSQL(t, c)}, sqlUser{t, startSQL(t, c)}
		a.must("/q/enqueue", "job")
		a.must("/q/ctl", "max_attempts=3")
		first := a.take("/q", vfs.Options{"lease": "1m"})
		if got := b.take("/q", nil); got.ID != "" {
			t.Errorf("lent twice: %+v", got)
		}
		a.must("/q/extend", `{"lease":"`+first.Lease+`","for":"1s"}`)
		again := b.take("/q", vfs.Options{"wait": "20s", "lease": "1m"})
		if again.ID != first.ID || again.Attempt != 2 || again.Fence <= first.Fence || first.Data != "job" {
			t.Errorf("%+v came again as %+v", first, again)
		}
		a.fails("/q/ack", first.Lease, vfs.LeaseLost)
		a.must("/q/extend", `{"lease":"`+again.Lease+`","for":"100ms"}`)
		b.until("ready again", func() bool { return b.reads("/q/size") == "1" })
		b.fails("/q/ack", again.Lease, vfs.LeaseLost)
		last := a.take("/q", vfs.Options{"lease": "100ms"})
		b.until("dead", func() bool { return len(b.names("/q/dead")) == 1 })
		if n := b.reads("/q/size"); last.Attempt != 3 || n != "0" {
			t.Errorf("%+v, and %s are ready", last, n)
		}
		if got := b.reads("/q/dead/" + first.ID); !strings.Contains(got, `"reason":"attempt 3/3: the lease ran out"`) {
			t.Errorf("dead: %s", got)
		}
		a.must("/q/redrive", "*")
		if got := b.take("/q", nil); got.ID != first.ID || got.Attempt != 1 {
			t.Errorf("redriven: %+v", got)
		} else if a.must("/q/ack", got.Lease) != `{"acked":1}` {
			t.Error("the ack answers something else")
		}
		if _, err := a.write("/q/enqueue", "later", vfs.Options{"delay": "300ms"}); err != nil {
			t.Error(err)
		}
		if got := b.take("/q", vfs.Options{"wait": "20s"}); got.Data != "later" {
			t.Errorf("delayed: %+v", got)
		}
	})
}

// A waiter hears of what another server has enqueued; one that has left takes
// nothing.
func TestSQLWaits(t *testing.T) {
	onSQL(t, func(t *testing.T, fresh func(*testing.T) vfs.Config) {
		c := fresh(t)
		a, b := sqlUser{t, startSQL(t, c)}, sqlUser{t, startSQL(t, c)}
		a.must("/q/enqueue", "x")
		a.must("/q/clear", "")
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan string)
		go func() {
			r, err := b.Do(ctx, vfs.Op{Verb: vfs.Consume, Path: "/q/dequeue", Target: "wait=20s"})
			gone <- fmt.Sprint(string(r.Data), err)
		}()
		b.until("one waits", func() bool { return b.waiting("/q") == 1 })
		leave()
		if got := <-gone; got != "{}<nil>" {
			t.Errorf("one that has left: %s", got)
		}
		got := make(chan sqlTaken)
		for range 2 {
			go func() { got <- b.take("/q", vfs.Options{"wait": "30s"}) }()
		}
		b.until("two wait", func() bool { return b.waiting("/q") == 2 })
		a.must("/q/enqueue", "one")
		a.must("/q/enqueue", "two")
		x, y := <-got, <-got
		if x.Data+y.Data != "onetwo" && x.Data+y.Data != "twoone" {
			t.Errorf("%+v, %+v", x, y)
		}
		go func() { got <- b.take("/q", vfs.Options{"wait": "300ms"}) }()
		if m := <-got; m.ID != "" {
			t.Errorf("%+v", m)
		}
	})
}

// A repeat under a key gets the first answer, and changes nothing.
func TestSQLKeys(t *testing.T) {
	onSQL(t, func(t *testing.T, fresh func(*testing.T) vfs.Config) {
		c := fresh(t)
		a, b := startSQL(t, c), startSQL(t, c)
		do := func(f *sqlFS, key string, op vfs.Op) (string, error) {
			r, err := f.Do(vfs.WithKey(t.Context(), key), op)
			return string(r.Data), err
		}
		send := vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Data: []byte("x")}
		first, err := do(a, "k", send)
		again, err2 := do(b, "k", send)
		if err != nil || err2 != nil || first != again {
			t.Errorf("%s, %v; again %s, %v", first, err, again, err2)
		}
		if _, err := do(b, "k", vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Data: []byte("y")}); vfs.KindOf(err) != vfs.KeyReused {
			t.Errorf("another content: %v", err)
		}
		var wg sync.WaitGroup
		var answers [8]string
		for i := range answers {
			wg.Go(func() {
				s, err := do([]*sqlFS{a, b}[i%2], "take", vfs.Op{Verb: vfs.Consume, Path: "/q/dequeue"})
				if err != nil {
					t.Error(err)
				}
				answers[i] = s
			})
		}
		wg.Wait()
		for _, s := range answers {
			if s != answers[0] || !strings.Contains(s, `"data":"x"`) {
				t.Errorf("%q", answers)
				break
			}
		}
	})
}

// Names are no SQL, and those that look alike are different queues. What is
// removed is gone from the tables, and so is what was done.
func TestSQLNames(t *testing.T) {
	onSQL(t, func(t *testing.T, fresh func(*testing.T) vfs.Config) {
		u := sqlUser{t, startSQL(t, fresh(t))}
		names := []string{"%", "A", "_", "a", "a'; DROP TABLE queuefs_messages; --", "a-b", "a.b", "a_b", "a`\"b", "aXb", "ä"}
		for i, n := range names {
			u.must("/"+n+"/deep/enqueue", fmt.Sprint(i))
			u.must("/"+n+"/enqueue", fmt.Sprint(i))
		}
		if got := u.names("/"); !slices.Equal(slices.Sorted(slices.Values(append(names, "README"))), got) {
			t.Errorf("%q", got)
		}
		for i, n := range names {
			u.must("/"+n+"/enqueue", "second")
			m := u.take("/"+n, nil)
			if m.Data != fmt.Sprint(i) {
				t.Errorf("%s: %+v", n, m)
			}
			u.must("/"+n+"/ack", m.Lease)
			if i%2 == 0 {
				u.must("/"+n+"/deep/clear", "")
			}
			if _, err := u.Do(t.Context(), vfs.Op{Verb: vfs.RemoveAll, Path: vfs.Path("/" + n)}); err != nil {
				t.Errorf("%s: %v", n, err)
			}
			for _, left := range names[i+1:] {
				if got := u.reads("/" + left + "/size"); got != "1" {
					t.Fatalf("after the end of %s, %s has %s", n, left, got)
				}
			}
		}
		if err := u.sweepOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := u.db.Reader().QueryRowContext(t.Context(), "SELECT (SELECT COUNT(*) FROM queuefs_messages) + (SELECT COUNT(*) FROM queuefs_trash) + (SELECT COUNT(*) FROM queuefs_queues)").Scan(&n); err != nil || n != 1 {
			t.Errorf("%d rows are left, %v", n, err)
		}
		long := strings.Repeat("/"+strings.Repeat("x", 200), 16)
		if _, err := u.Do(t.Context(), vfs.Op{Verb: vfs.Mkdir, Path: vfs.Path(long)}); vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("a long path: %v", err)
		}
		u.must("/q/enqueue", strings.Repeat("y", 20_000))
		u.fails("/q/enqueue", strings.Repeat("y", vfs.MaxInline), vfs.TooLarge) // in pieces it would be several
		big := strings.Repeat("z", sqlMessageMost-1)
		if _, err := u.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/big/enqueue"}, strings.NewReader(big)); err != nil {
			t.Error(err)
		}
		if m := u.take("/big", nil); m.Data != big {
			t.Errorf("%d bytes came back", len(m.Data))
		}
		if _, err := u.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/big/enqueue"}, strings.NewReader(big+"z")); vfs.KindOf(err) != vfs.TooLarge {
			t.Errorf("too long: %v", err)
		}
	})
}

// Producers and consumers on two servers: each message is given once, and one
// consumer alone gets them in order.
func TestSQLMany(t *testing.T) {
	onSQL(t, func(t *testing.T, fresh func(*testing.T) vfs.Config) {
		c := fresh(t)
		servers := []sqlUser{{t, startSQL(t, c)}, {t, startSQL(t, c)}}
		const producers, each = 4, 50
		var wg sync.WaitGroup
		var mu sync.Mutex
		given := map[string]int{}
		for i := range producers {
			u := servers[i%2]
			wg.Go(func() {
				for n := range each {
					if _, err := u.write("/q/enqueue", fmt.Sprintf("%d-%d", i, n), nil); err != nil {
						t.Error(err)
					}
				}
			})
			wg.Go(func() {
				for {
					mu.Lock()
					over := len(given) == producers*each
					mu.Unlock()
					if over {
						return
					}
					r, err := u.Do(t.Context(), vfs.Op{Verb: vfs.Consume, Path: "/q/take", Target: "wait=500ms"})
					var m sqlTaken
					if vfs.KindOf(err) == vfs.NotFound { // before the first message
						continue
					}
					if err = errors.Join(err, json.Unmarshal(r.Data, &m)); err != nil {
						t.Error(err)
						return
					}
					if m.ID == "" {
						continue
					}
					mu.Lock()
					given[m.Data]++
					mu.Unlock()
					if _, err := u.write("/q/ack", m.Lease, nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for data, n := range given {
			if n != 1 {
				t.Errorf("%s was given %d times", data, n)
			}
		}
		var s struct {
			Ready, Inflight, Bytes int
			Enqueued               int `json:"enqueued_total"`
			Acked                  int `json:"acked_total"`
		}
		if err := json.Unmarshal([]byte(servers[0].reads("/q/stats.json")), &s); err != nil || s.Ready+s.Inflight+s.Bytes != 0 || s.Enqueued != producers*each || s.Acked != s.Enqueued {
			t.Errorf("%+v, %v", s, err)
		}
	})
}
