package queuefs

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// alike is one of two mounts that are to answer alike.
type alike struct {
	*vfstest.Fold
	ids    map[string]string // as this one has them, by what both call them
	leases []string          // in the order in which they were given
	dead   []string          // ids, likewise
}

func openSame(t *testing.T, c vfs.Config) *alike {
	t.Helper()
	p := Plugin()
	make := p.New
	p.New = func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
		e.Log = slog.New(slog.DiscardHandler)
		return make(e, c)
	}
	f, err := vfstest.Open(t.Context(), vfstest.Subject{Plugin: p, Config: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &alike{Fold: f, ids: map[string]string{}}
}

// same writes an answer as both have it: ids and leases by the order in which
// they came, and no times.
func (w *alike) same(text string) string {
	uuid := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	lease := regexp.MustCompile(`[0-9a-f]+-[0-9a-f]{16}`)
	for i, re := range []*regexp.Regexp{uuid, lease} {
		text = re.ReplaceAllStringFunc(text, func(s string) string {
			if w.ids[s] == "" {
				w.ids[s] = fmt.Sprintf("<%d.%d>", i, len(w.ids))
			}
			return w.ids[s]
		})
	}
	text = regexp.MustCompile(`"(timestamp|deadline|died|due|taken|oldest|as_of)":"[^"]*"`).ReplaceAllString(text, `"$1":""`)
	return regexp.MustCompile(`"(fence|oldest_age)":[0-9.]+`).ReplaceAllString(text, `"$1":0`)
}

func (w *alike) do(t *testing.T, op vfs.Op) string {
	if op.Verb == vfs.Consume {
		b, err := w.Consume(t.Context(), op)
		var list []struct{ Lease string }
		if json.Unmarshal(b, &list) == nil {
			for _, l := range list {
				w.leases = append(w.leases, l.Lease)
			}
		}
		return w.same(fmt.Sprintf("%s %v", b, err))
	}
	r, err := w.Do(t.Context(), op)
	if r.N != op.Size() && err == nil && op.Verb == vfs.Write {
		t.Errorf("%s: %d bytes of %d", op.Path, r.N, op.Size())
	}
	return w.same(fmt.Sprintf("%s %v", r.Data, err))
}

// look returns all that can be seen.
func (w *alike) look(t *testing.T, p vfs.Path) string {
	var out strings.Builder
	infos, err := w.List(t.Context(), p)
	fmt.Fprintf(&out, "%s %v\n", p, err)
	w.dead = nil
	for _, i := range infos {
		text, err := []byte(nil), error(nil)
		at := p.Child(i.Name)
		switch {
		case i.IsDir():
			text = []byte(w.look(t, at))
		case i.Name == readmeName:
		case i.Mode&0o444 != 0 && !i.Consumes():
			text, err = w.Read(t.Context(), at, 0, -1)
		}
		size := i.Size
		if i.Name == "stats.json" || p.Base() == "inflight" || p.Base() == "dead" || p.Base() == "delayed" || i.Name == "peek" {
			size = 0 // it has times, which are not always as long
		}
		fmt.Fprintf(&out, "%s %s %v %d %q %v\n", at, i.Name, i.Mode, size, i.Meta, err)
		out.Write(text)
		if p.Base() == "dead" {
			w.dead = append(w.dead, i.Name)
		}
	}
	return w.same(out.String())
}

// watch returns what those are told who watch the queues, as counts of what
// stats.json has.
func (w *alike) watch(t *testing.T) string {
	t.Helper()
	f := w.FS.(vfs.Queuer)
	all, err := f.Queues(t.Context(), w.State.View(), 100, 100)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b vfs.QueueState) int { return strings.Compare(string(a.Path), string(b.Path)) })
	var out strings.Builder
	for _, q := range all {
		b, err := w.Read(t.Context(), q.Path.Child("stats.json"), 0, -1)
		var s struct {
			Ready, Delayed, Inflight, Dead uint64
			Oldest                         time.Time
		}
		if err == nil {
			err = json.Unmarshal(b, &s)
		}
		if want := (vfs.QueueState{Path: q.Path, Ready: s.Ready, Delayed: s.Delayed, Inflight: s.Inflight, Dead: s.Dead, Oldest: q.Oldest}); err != nil || q != want || !q.Oldest.Equal(s.Oldest) {
			t.Fatalf("%+v; stats.json has %s, %v", q, b, err)
		}
		fmt.Fprintln(&out, q.Path, q.Ready, q.Delayed, q.Inflight, q.Dead, q.Oldest.IsZero())
	}
	if some, err := f.Queues(t.Context(), w.State.View(), 1, 0); err != nil || len(some) > 1 || len(some) == 1 && !some[0].Oldest.IsZero() {
		t.Fatalf("one queue, from afar: %+v, %v", some, err)
	}
	return out.String()
}

// TestSQLSame has the SQL backends and the memory backend do the same at random:
// they answer alike and look alike, but for times and numbers of leases.
func TestSQLSame(t *testing.T) {
	onSQL(t, func(t *testing.T, fresh func(*testing.T) vfs.Config) {
		for seed := range uint64(3) {
			r := rand.New(rand.NewPCG(seed, 7))
			twins := []*alike{openSame(t, vfs.Config{}), openSame(t, fresh(t))}
			for step := range 150 {
				op := someOp(r)
				n := r.IntN(100)
				var answers, views [2]string
				for i, w := range twins {
					answers[i] = w.do(t, w.fill(op, n))
					if step%10 == 9 {
						views[i] = strings.ReplaceAll(w.look(t, "/"), `"backend":"mysql"`, `"backend":"memory"`) + w.watch(t)
					}
				}
				if answers[0] != answers[1] {
					t.Fatalf("seed %d, step %d: %v %s %q %q:\n%s\n%s", seed, step, op.Verb, op.Path, op.Data, op.Target, answers[0], answers[1])
				}
				for i := range views {
					views[i] = regexp.MustCompile(`"backend":"[a-z0-9]+"`).ReplaceAllString(views[i], "")
				}
				if views[0] != views[1] {
					a, b := strings.Split(views[0], "\n"), strings.Split(views[1], "\n")
					for i := range min(len(a), len(b)) {
						if a[i] != b[i] {
							t.Fatalf("seed %d, step %d: after %v %s:\n%s\n%s", seed, step, op.Verb, op.Path, a[i], b[i])
						}
					}
					t.Fatalf("seed %d, step %d: %d lines, and %d", seed, step, len(a), len(b))
				}
			}
		}
	})
}

// someOp makes an Op; LEASE and DEAD in it stand for what each alike has.
func someOp(r *rand.Rand) vfs.Op {
	q := []string{"/a", "/b", "/a/c"}[r.IntN(3)]
	write := func(file, text string, o vfs.Options) vfs.Op {
		return vfs.Op{Verb: vfs.Write, Path: vfs.Path(q + "/" + file), Flag: vfs.FlagCreate | vfs.FlagTruncate, Data: []byte(text), Target: o.Encode()}
	}
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	switch r.IntN(16) {
	case 0, 1, 2, 3:
		o := vfs.Options{}
		if r.IntN(3) == 0 {
			o["priority"] = pick("0", "4", "9", "10")
		}
		if r.IntN(5) == 0 {
			o["delay"] = pick("1h", "x")
		}
		if r.IntN(3) == 0 {
			o["dedup"] = pick("1", "01", "A", "a")
		}
		return write("enqueue", pick("", "text", "\xff\x00", "<é>", strings.Repeat("long ", 5000)), o)
	case 4:
		return write("enqueue", pick("1\n2\n\n3", "x\r\n\"y\"\n"), vfs.Options{"batch": "true", "dedup": pick("", "7")})
	case 5, 6, 7:
		return vfs.Op{Verb: vfs.Consume, Path: vfs.Path(q + "/take"), Target: vfs.Options{"max": pick("1", "3", "100", "0"), "lease": "1h"}.Encode()}
	case 8:
		return vfs.Op{Verb: vfs.Consume, Path: vfs.Path(q + "/dequeue")}
	case 9, 10:
		return write("ack", pick("LEASE", "LEASE", "no lease", `{"lease":"LEASE"}`), nil)
	case 11:
		return write("nack", pick("LEASE", `{"lease":"LEASE","reason":"why"}`, `{"lease":"LEASE","delay":"1h"}`, `{"x":1}`), nil)
	case 12:
		return write("extend", pick("LEASE", `{"lease":"LEASE","for":"2h"}`, `{"lease":"LEASE","for":"1ms"}`), nil)
	case 13:
		return write("ctl", pick("max_attempts=1", "max_attempts=2 priority=6", "max_messages=6", "max_messages=0 max_bytes=100", "max_bytes=0", "dedup=0", "dedup=5m", "no=1"), nil)
	case 14:
		return write("redrive", pick("*", "DEAD", "nothing", ""), nil)
	}
	file := pick("", "/dead", "/delayed", "/enqueue", "/dead/DEAD", "/size", "/clear")
	if file == "/clear" {
		return write("clear", "", nil)
	}
	verb := []vfs.Verb{vfs.Mkdir, vfs.Remove, vfs.RemoveAll, vfs.Touch, vfs.Create, vfs.Truncate}[r.IntN(6)]
	return vfs.Op{Verb: verb, Path: vfs.Path(q + file)}
}

// fill puts a lease and a dead message of the alike into op.
func (w *alike) fill(op vfs.Op, n int) vfs.Op {
	lease, dead := "0-0000000000000001", "01a1febf-0fcd-7000-8000-0005572b8bef"
	if len(w.leases) > 0 {
		lease = w.leases[len(w.leases)-1-n%min(4, len(w.leases))]
	}
	if len(w.dead) > 0 {
		dead = w.dead[n%len(w.dead)]
	}
	op.Data = []byte(strings.ReplaceAll(strings.ReplaceAll(string(op.Data), "LEASE", lease), "DEAD", dead))
	op.Path = vfs.Path(strings.ReplaceAll(string(op.Path), "DEAD", dead))
	return op
}
