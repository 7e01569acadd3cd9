package history

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// logOf makes a log whose entry i+1 holds the events that line i gives, each as
// "verb path [data] [key=K] [to=P] [if=V]".
func logOf(t *testing.T, lines ...string) *Log {
	t.Helper()
	var b strings.Builder
	for i, line := range lines {
		for k, text := range strings.Split(line, ";") {
			f := strings.Fields(text)
			op := map[string]any{"verb": f[0], "path": f[1]}
			ev := map[string]any{"index": i + 1, "term": 1, "type": "event", "event": k, "ops": []any{op}}
			for _, w := range f[2:] {
				name, value, named := strings.Cut(w, "=")
				switch {
				case !named:
					op["data"] = w
				case name == "key":
					ev["key"] = value
				default:
					op[name] = value
				}
			}
			j, err := json.Marshal(ev)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(append(j, '\n'))
		}
	}
	l, err := ReadLog(strings.NewReader(b.String()), uint64(len(lines)))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// at gives an Op its times in milliseconds.
func (o Op) from(call, end int) *Op {
	o.Call, o.Return, o.Tries = time.Duration(call)*ms, time.Duration(end)*ms, 1
	return &o
}

// put is an acknowledged Put at an index, whose event number is that too.
func put(id, path string, index uint64) Op {
	return Op{ID: id, Kind: Put, Path: path, Status: OK, Index: index, Seq: index, Version: index}
}

func get(out, path string, index uint64, linear bool) Op {
	return Op{ID: fmt.Sprintf("get-%s-%d", path, index), Kind: Get, Path: path, Status: OK, Index: index, Linear: linear, Out: out}
}

func enqueue(id string, index, place uint64) Op {
	return Op{ID: id, Kind: Enqueue, Path: "/q/a", Status: OK, Index: index, Seq: index, Place: place}
}

func dequeue(id, out string, index uint64) Op {
	return Op{ID: id, Kind: Dequeue, Path: "/q/a", Keyed: id != "", Status: OK, Index: index, Seq: index, Out: out}
}

func with(o Op, edit func(*Op)) Op {
	edit(&o)
	return o
}

func unknown(o *Op)  { o.Status, o.Index, o.Seq, o.Version, o.Place, o.Out = Unknown, 0, 0, 0, 0, "" }
func refused(o *Op)  { unknown(o); o.Status, o.Code = Refused, "unavailable" }
func notFound(o *Op) { o.Status, o.Code, o.Out, o.Seq = Failed, "not_found", "", 0 }

// piece is a history, and what is wrong with it: "" for nothing,
// or a kind and a part of the text.
type piece struct {
	name string
	log  []string
	ops  []*Op
	want string
}

func pieces() []piece {
	return []piece{
		{"writes and reads", []string{"write /d/f a", "write /d/f b"}, []*Op{
			put("a", "/d/f", 1).from(0, 1), get("a", "/d/f", 1, true).from(2, 3), put("b", "/d/f", 2).from(4, 5),
			get("a", "/d/f", 1, false).from(6, 7), get("b", "/d/f", 2, true).from(6, 7)}, ""},
		{"acknowledged and not in the log", []string{"write /d/g b"}, []*Op{
			put("a", "/d/f", 1).from(0, 1), put("b", "/d/g", 1).from(0, 1)}, "lost: acknowledged, but not"},
		{"read of a value that was overwritten", []string{"write /d/f a", "write /d/f b"}, []*Op{
			put("a", "/d/f", 1).from(0, 1), put("b", "/d/f", 2).from(2, 3), get("a", "/d/f", 2, true).from(4, 5)}, "violation: it should have read \"b\""},
		{"linearizable read of an old index", []string{"write /d/f a", "write /d/f b"}, []*Op{
			put("a", "/d/f", 1).from(0, 1), put("b", "/d/f", 2).from(2, 3), get("a", "/d/f", 1, true).from(4, 5)}, "violation: a linearizable read is older"},
		{"local read that is older than asked for", []string{"write /d/f a", "write /d/f b"}, []*Op{
			put("a", "/d/f", 1).from(0, 1), put("b", "/d/f", 2).from(2, 3),
			with(get("a", "/d/f", 1, false), func(o *Op) { o.MinIndex = 2 }).from(4, 5)}, "violation: a read is older than it asked for"},
		{"read of what was never written", []string{"write /d/f a"}, []*Op{
			put("a", "/d/f", 1).from(0, 1), get("torn", "/d/f", 1, false).from(2, 3)}, "violation: it should have read"},
		{"read of a file that is not there", []string{"write /d/f a"}, []*Op{
			put("a", "/d/f", 1).from(0, 1), get("a", "/d/g", 1, false).from(2, 3)}, "violation: it should have failed with not_found"},
		{"absence of a file that is there", []string{"write /d/f a"}, []*Op{
			put("a", "/d/f", 1).from(0, 1), with(get("", "/d/f", 1, false), notFound).from(2, 3)}, "violation: the state at its index has it"},
		{"read of the future", []string{"write /d/f a"}, []*Op{
			put("a", "/d/f", 1).from(0, 1), get("a", "/d/f", 9, false).from(2, 3)}, "violation: a read of the future"},
		{"log order against time", []string{"write /d/f b", "write /d/f a"}, []*Op{
			put("a", "/d/f", 2).from(0, 1), put("b", "/d/f", 1).from(2, 3)}, "violation: a change lies before"},
		{"an index that is not its own", []string{"write /d/f a", "write /d/g b"}, []*Op{
			put("a", "/d/f", 2).from(0, 1), put("b", "/d/g", 2).from(0, 1)}, "violation: in the log at index 1"},
		{"event numbers that fall", []string{"write /d/f a", "write /d/g b"}, []*Op{
			put("a", "/d/f", 1).from(0, 9), with(put("b", "/d/g", 2), func(o *Op) { o.Seq, o.Version = 1, 1 }).from(0, 9)}, "violation: event number 1 follows 1"},
		{"one version of two values", []string{"write /d/f a"}, []*Op{
			put("a", "/d/f", 1).from(0, 1), with(get("x", "/d/f", 1, false), func(o *Op) { o.Version = 1 }).from(2, 3)}, "violation: version 1 is of"},
		{"refused and done", []string{"write /d/f a"}, []*Op{with(put("a", "/d/f", 0), refused).from(0, 1)}, "violation: refused, but in the log"},
		{"refused and not done", []string{"begin /"}, []*Op{with(put("a", "/d/f", 0), refused).from(0, 1)}, ""},
		{"unknown and done", []string{"write /d/f a"}, []*Op{with(put("a", "/d/f", 0), unknown).from(0, 1), get("a", "/d/f", 1, true).from(2, 3)}, ""},
		{"unknown and not done", []string{"begin /"}, []*Op{with(put("a", "/d/f", 0), unknown).from(0, 1)}, ""},
		{"unknown and done twice", []string{"write /d/f a", "write /d/f a"}, []*Op{with(put("a", "/d/f", 0), unknown).from(0, 1)}, "doubled: twice in the log"},
		{"done by nobody", []string{"write /d/f ghost"}, nil, "violation: nobody asked for the put of \"ghost\""},
		{"taken by nobody", []string{"write /q/a/enqueue m", "consume /q/a/dequeue"}, []*Op{enqueue("m", 1, 1).from(0, 1)}, "violation: nobody asked for a dequeue"},
		{"twice under one key", []string{"write /d/f a key=a", "write /d/f a key=a"}, []*Op{
			with(put("a", "/d/f", 1), func(o *Op) { o.Keyed = true }).from(0, 1)}, ""},
		{"another file than was asked for", []string{"write /d/g a"}, []*Op{put("a", "/d/f", 1).from(0, 1)}, "violation: the log has a put of /d/g"},

		{"compare and swap", []string{"write /d/f a", "write /d/f b", "write /d/f c"}, []*Op{
			put("a", "/d/f", 1).from(0, 1), with(put("b", "/d/f", 2), func(o *Op) { o.If = &Cond{Version: 1} }).from(2, 3),
			with(put("c", "/d/f", 3), func(o *Op) { o.If, o.Status, o.Code, o.Seq, o.Version = &Cond{Version: 1}, Failed, "stale", 0, 0 }).from(4, 5)}, ""},
		{"two winners", []string{"write /d/f a", "write /d/f b", "write /d/f c"}, []*Op{
			put("a", "/d/f", 1).from(0, 1), with(put("b", "/d/f", 2), func(o *Op) { o.If = &Cond{Version: 1} }).from(2, 9),
			with(put("c", "/d/f", 3), func(o *Op) { o.If = &Cond{Version: 1} }).from(2, 9)}, "violation: the outcome should be stale"},
		{"no winner", []string{"write /d/f a", "write /d/f b"}, []*Op{
			put("a", "/d/f", 1).from(0, 1),
			with(put("b", "/d/f", 2), func(o *Op) { o.If, o.Status, o.Code, o.Seq = &Cond{Version: 1}, Failed, "stale", 0 }).from(2, 9)}, "violation: the outcome should be ok"},
		{"absent and there", []string{"write /d/f a", "write /d/f b"}, []*Op{
			put("a", "/d/f", 1).from(0, 1), with(put("b", "/d/f", 2), func(o *Op) { o.If = &Cond{Absent: true} }).from(2, 3)}, "violation: the outcome should be stale"},
		{"refusal that no state explains", []string{"write /d/f a"}, []*Op{
			put("a", "/d/f", 1).from(0, 1), {ID: "r", Kind: Delete, Path: "/d/f", Status: Failed, Code: "not_found", Call: 2 * ms, Return: 3 * ms}}, "violation: refused, but no state"},

		{"a queue", []string{"write /q/a/enqueue m", "write /q/a/enqueue n", "consume /q/a/dequeue key=d1", "consume /q/a/dequeue", "consume /q/a/dequeue"}, []*Op{
			enqueue("m", 1, 1).from(0, 1), enqueue("n", 2, 2).from(2, 3), dequeue("d1", "m", 3).from(4, 5), dequeue("", "n", 4).from(6, 7), dequeue("", "", 5).from(8, 9)}, ""},
		{"taken twice", []string{"write /q/a/enqueue m", "consume /q/a/dequeue key=d1", "consume /q/a/dequeue key=d2"}, []*Op{
			enqueue("m", 1, 1).from(0, 1), dequeue("d1", "m", 2).from(2, 3), dequeue("d2", "m", 3).from(4, 5)}, "doubled: it should have taken"},
		{"taken out of order", []string{"write /q/a/enqueue m", "write /q/a/enqueue n", "consume /q/a/dequeue key=d1"}, []*Op{
			enqueue("m", 1, 1).from(0, 1), enqueue("n", 2, 2).from(2, 3), dequeue("d1", "n", 3).from(4, 5)}, "violation: it should have taken \"m\""},
		{"a message that is gone", []string{"write /q/a/enqueue m", "consume /q/a/dequeue key=d1"}, []*Op{
			enqueue("m", 1, 1).from(0, 1), dequeue("d1", "", 2).from(2, 3)}, "violation: it should have taken \"m\""},
		{"a wrong place", []string{"write /q/a/enqueue m"}, []*Op{enqueue("m", 1, 7).from(0, 1)}, "violation: its place in the queue should be 1"},
		{"a take whose answer was lost", []string{"write /q/a/enqueue m", "consume /q/a/dequeue", "consume /q/a/dequeue"}, []*Op{
			enqueue("m", 1, 1).from(0, 1), with(Op{Kind: Dequeue, Path: "/q/a"}, unknown).from(2, 3), dequeue("", "", 3).from(4, 5)}, ""},
		{"two that find nothing, in one entry", []string{"consume /q/a/dequeue;consume /q/a/dequeue"}, []*Op{
			with(dequeue("", "", 1), func(o *Op) { o.Seq = 2 }).from(0, 9), dequeue("", "", 1).from(0, 9)}, ""},
		{"one of them unknown", []string{"consume /q/a/dequeue;write /d/f a;consume /q/a/dequeue"}, []*Op{
			with(Op{Kind: Dequeue, Path: "/q/a"}, unknown).from(0, 9),
			with(put("a", "/d/f", 1), func(o *Op) { o.Seq, o.Version = 2, 2 }).from(0, 9),
			with(dequeue("", "", 1), func(o *Op) { o.Seq = 3 }).from(0, 9)}, ""},
		{"removed for nothing, and for something", []string{"remove /d/f;write /d/f a;remove /d/f"}, []*Op{
			with(Op{Kind: Delete, Path: "/d/f"}, unknown).from(0, 9),
			with(put("a", "/d/f", 1), func(o *Op) { o.Seq, o.Version = 2, 2 }).from(0, 9),
			with(Op{Kind: Delete, Path: "/d/f", Status: OK, Index: 1}, func(o *Op) { o.Seq = 3 }).from(0, 9)}, ""},
		{"removed, and was not there", []string{"remove /d/f"}, []*Op{
			Op{Kind: Delete, Path: "/d/f", Status: OK, Index: 1, Seq: 1}.from(0, 9)}, "violation: the outcome should be not_found"},
		{"another name of a message", []string{"write /q/a/enqueue m", "consume /q/a/dequeue key=d1"}, []*Op{
			with(enqueue("m", 1, 1), func(o *Op) { o.Message = "x" }).from(0, 1),
			with(dequeue("d1", "m", 2), func(o *Op) { o.Message = "y" }).from(2, 3)}, "violation: the message was called x"},
		{"a wrong length", []string{"write /q/a/enqueue m"}, []*Op{
			enqueue("m", 1, 1).from(0, 1), {ID: "l", Kind: Length, Path: "/q/a", Status: OK, Index: 1, Out: "0"}}, "violation: it should have read \"1\""},

		{"a tree", []string{"mkdir /d/x key=1", "write /d/x/f a", "rename /d/x to=/d/y key=2", "remove /d/y key=3", "remove_all /d/y key=4"}, []*Op{
			treeOp("1", Mkdir, "/d/x", "", 1).from(0, 1), put("a", "/d/x/f", 2).from(2, 3), treeOp("2", Rename, "/d/x", "/d/y", 3).from(4, 5),
			Op{ID: "l1", Kind: List, Path: "/d", Status: OK, Index: 3, Out: "y"}.from(5, 6), get("a", "/d/y/f", 3, false).from(5, 6),
			with(treeOp("3", Delete, "/d/y", "", 4), func(o *Op) { o.Status, o.Code, o.Seq = Failed, "not_empty", 0 }).from(6, 7),
			treeOp("4", DeleteAll, "/d/y", "", 5).from(8, 9), Op{ID: "l2", Kind: List, Path: "/d", Status: OK, Index: 5}.from(9, 10)}, ""},
		{"half of a rename", []string{"mkdir /d/x key=1", "rename /d/x to=/d/y key=2"}, []*Op{
			treeOp("1", Mkdir, "/d/x", "", 1).from(0, 1), treeOp("2", Rename, "/d/x", "/d/y", 2).from(2, 3),
			{ID: "l", Kind: List, Path: "/d", Status: OK, Index: 2, Out: "x,y"}}, "violation: it should have read \"y\""},
		{"a directory made twice", []string{"mkdir /d/x key=1", "mkdir /d/x key=2"}, []*Op{
			treeOp("1", Mkdir, "/d/x", "", 1).from(0, 9), treeOp("2", Mkdir, "/d/x", "", 2).from(0, 9)}, "violation: the outcome should be exists"},
		{"a directory in itself", []string{"mkdir /d/x key=1", "rename /d/x to=/d/x/y key=2"}, []*Op{
			treeOp("1", Mkdir, "/d/x", "", 1).from(0, 1), treeOp("2", Rename, "/d/x", "/d/x/y", 2).from(2, 3)}, "violation: the outcome should be invalid"},
	}
}

func treeOp(id string, k Kind, path, to string, index uint64) Op {
	return Op{ID: id, Kind: k, Path: path, To: to, Keyed: true, Status: OK, Index: index, Seq: index}
}

func TestWitness(t *testing.T) {
	for _, p := range pieces() {
		t.Run(p.name, func(t *testing.T) {
			w := NewWitness([]string{"/d", "/q"}, []string{"/", "/d", "/q"})
			_, found := w.Check(p.ops, logOf(t, p.log...), time.Second)
			var got []string
			for _, f := range found {
				got = append(got, f.What+": "+f.Text)
			}
			text := strings.Join(got, "\n")
			if p.want == "" && text != "" || !strings.Contains(text, p.want) {
				t.Errorf("found %q, want %q", text, p.want)
			}
		})
	}
}

// TestLater finds a change in a later piece of the log, as long as a node may
// still have had it, and never one that was refused.
func TestLater(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		how   func(*Op)
		want  string
	}{
		{time.Second, unknown, ""},
		{time.Hour, unknown, "nobody asked"},
		{time.Second, refused, "refused, but in the log"},
	} {
		w := NewWitness([]string{"/d"}, []string{"/", "/d"})
		w.Check([]*Op{with(put("a", "/d/f", 0), c.how).from(0, 1)}, logOf(t, "begin /"), c.after)
		late, found := w.Check(nil, logOf(t, "begin /", "write /d/f a"), c.after)
		if fmt.Sprint(found) == "[]" != (c.want == "") || !strings.Contains(fmt.Sprint(found), c.want) {
			t.Errorf("after %v: %v, want %q", c.after, found, c.want)
		}
		if c.want == "" && (len(late) != 1 || w.Values()["/d/f"] != "a") {
			t.Errorf("%d late changes, the file holds %q", len(late), w.Values()["/d/f"])
		}
	}
}

// TestGap refuses a log that does not go on where the last one ended, and logs
// that differ.
func TestGap(t *testing.T) {
	w := NewWitness([]string{"/d"}, []string{"/", "/d"})
	l := logOf(t, "begin /", "begin /", "begin /")
	l.First = 3
	if _, found := w.Check(nil, l, 0); len(found) != 1 || !strings.Contains(found[0].Text, "the log was cut") {
		t.Errorf("a gap: %v", found)
	}
	a, b := logOf(t, "begin /", "write /d/f a"), logOf(t, "begin /", "write /d/f b", "begin /")
	if err := a.Same(b); err == nil || a.Same(a) != nil {
		t.Errorf("logs that differ: %v", err)
	}
	if _, err := ReadLog(strings.NewReader(`{"index":1,"error":"damaged"}`+"\n"), 9); err == nil {
		t.Error("a damaged entry is read")
	}
}

func TestContent(t *testing.T) {
	for _, size := range []int{0, 3, 100, 40_000} {
		if got := Digest(Content("r1.2", size)); got != "r1.2" {
			t.Errorf("%d bytes: %q", size, got)
		}
	}
	mixed := Content("r1.2", 1000)[:500] + Content("r1.3", 1000)[500:]
	if got := Digest(mixed); !strings.HasPrefix(got, "torn") {
		t.Errorf("a mixture is %q", got)
	}
}
