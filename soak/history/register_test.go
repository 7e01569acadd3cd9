package history

import (
	"testing"
	"time"
)

// TestLinearizable tells histories that an order explains from those that none
// does. The indexes in the answers are not looked at.
func TestLinearizable(t *testing.T) {
	const f = "/d/f"
	cas := func(id string, version uint64, status Status) Op {
		return with(put(id, f, 0), func(o *Op) { o.If, o.Status = &Cond{Version: version}, status })
	}
	gone := with(get("", f, 0, true), notFound)
	for _, c := range []struct {
		name string
		ops  []*Op
		late []*Op
		good bool
	}{
		{"in order", []*Op{put("a", f, 1).from(0, 1), get("a", f, 0, true).from(2, 3), put("b", f, 2).from(4, 5), get("b", f, 0, true).from(6, 7)}, nil, true},
		{"from before", []*Op{get("start", f, 0, true).from(0, 1)}, nil, true},
		{"either of two", []*Op{put("a", f, 1).from(0, 9), put("b", f, 2).from(0, 9), get("a", f, 0, true).from(10, 11)}, nil, true},
		{"stale", []*Op{put("a", f, 1).from(0, 1), put("b", f, 2).from(2, 3), get("a", f, 0, true).from(4, 5)}, nil, false},
		{"there and back", []*Op{put("a", f, 1).from(0, 9), get("a", f, 0, true).from(1, 2), get("start", f, 0, true).from(3, 4)}, nil, false},
		{"never written", []*Op{get("x", f, 0, true).from(0, 1)}, nil, false},
		{"local reads are another matter", []*Op{put("a", f, 1).from(0, 1), get("start", f, 0, false).from(2, 3)}, nil, true},
		{"late and seen", []*Op{get("a", f, 0, true).from(5, 6)}, []*Op{with(put("a", f, 0), unknown).from(0, 1)}, true},
		{"late and then gone", []*Op{get("a", f, 0, true).from(5, 6), get("start", f, 0, true).from(7, 8)}, []*Op{with(put("a", f, 0), unknown).from(0, 1)}, false},
		{"one winner", []*Op{put("a", f, 1).from(0, 1), cas("b", 1, OK).from(2, 9), cas("c", 1, Failed).from(2, 9)}, nil, true},
		{"two winners", []*Op{put("a", f, 1).from(0, 1), cas("b", 1, OK).from(2, 9), cas("c", 1, OK).from(2, 9)}, nil, false},
		{"no winner", []*Op{put("a", f, 1).from(0, 1), cas("b", 1, Failed).from(2, 9)}, nil, false},
		{"removed", []*Op{{Kind: Delete, Path: f, Status: OK, Call: 0, Return: ms}, gone.from(2, 3)}, nil, true},
		{"removed and there", []*Op{{Kind: Delete, Path: f, Status: OK, Call: 0, Return: ms}, get("start", f, 0, true).from(2, 3)}, nil, false},
		{"absent and not removed", []*Op{gone.from(2, 3)}, nil, false},
	} {
		w := NewWitness(nil, nil)
		for v, id := range map[uint64]string{1: "a", 2: "b"} {
			w.m.values[v] = id
		}
		found, undecided := w.Linearizable(c.ops, c.late, func(p string) bool { return p == f },
			map[string]string{f: "start"}, time.Minute)
		if undecided > 0 || (len(found) == 0) != c.good {
			t.Errorf("%s: found %v, undecided %d", c.name, found, undecided)
		}
	}
}

// TestUndecided counts a register for which the time was too short.
func TestUndecided(t *testing.T) {
	var ops []*Op
	for i := range 400 {
		ops = append(ops, put(string(rune('a'+i)), "/d/f", 1).from(0, 1000))
	}
	ops = append(ops, get("never", "/d/f", 0, true).from(2000, 2001))
	w := NewWitness(nil, nil)
	if _, undecided := w.Linearizable(ops, nil, func(string) bool { return true },
		nil, time.Millisecond); undecided != 1 {
		t.Errorf("%d registers undecided, want 1", undecided)
	}
}
