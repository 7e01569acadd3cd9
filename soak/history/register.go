package history

import (
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// Linearizable checks each register by itself with porcupine: the files whose
// path of reports true, by values and times alone. late are the changes whose
// client does not know that they were done; start has what the files held before
// the history. It returns one finding for each register whose history
// no order explains, and how many were not decided within limit.
func (w *Witness) Linearizable(ops, late []*Op, of func(path string) bool, start map[string]string,
	limit time.Duration) (found []Finding, undecided int) {
	byPath := map[string][]porcupine.Operation{}
	add := func(o *Op, end time.Duration) {
		byPath[o.Path] = append(byPath[o.Path], porcupine.Operation{ClientId: o.Client,
			Input: w.input(o), Call: int64(o.Call), Output: o, Return: int64(end)})
	}
	ends := bounds(ops, late)
	for _, o := range ops {
		if of(o.Path) && (o.Status == OK || o.Status == Failed) && (o.Linear || !o.Kind.Reads()) {
			add(o, o.Return)
		}
	}
	for _, o := range late {
		if of(o.Path) {
			add(o, ends[o])
		}
	}
	for path, history := range byPath {
		m := registerModel(start[path])
		switch porcupine.CheckOperationsTimeout(m, history, limit) {
		case porcupine.Illegal:
			found = append(found, Finding{Violation, fmt.Sprintf("no order explains the %d operations on %s", len(history), path)})
		case porcupine.Unknown:
			undecided++
		case porcupine.Ok:
		}
	}
	return found, undecided
}

// bounds tells by when a late change was done: before the first change that the
// log has after it was acknowledged. Without that, every unknown outcome would
// double the work.
func bounds(ops, late []*Op) map[*Op]time.Duration {
	byPath := map[string][]*Op{}
	for _, o := range ops {
		if o.Status == OK && !o.Kind.Reads() {
			byPath[o.Path] = append(byPath[o.Path], o)
		}
	}
	out := map[*Op]time.Duration{}
	for _, l := range late {
		end := time.Duration(math.MaxInt64)
		for _, o := range byPath[l.Path] {
			if o.Index > l.at {
				end = min(end, o.Return)
			}
		}
		out[l] = max(end, l.Call)
	}
	return out
}

// command is what a register is asked for. want is the value that a condition
// on the version stands for.
type command struct {
	kind   Kind
	value  string
	ifAny  bool // unconditional
	absent bool
	want   string
}

func (w *Witness) input(o *Op) command {
	c := command{kind: o.Kind, value: o.ID, ifAny: o.If == nil}
	if o.If != nil {
		c.absent, c.want = o.If.Absent, w.m.values[o.If.Version]
	}
	return c
}

// registerModel is one register that holds a value, "" for none.
func registerModel(start string) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return start },
		Step: func(state, input, output any) (bool, any) {
			s, c, o := state.(string), input.(command), output.(*Op)
			next, ok := c.step(s)
			switch {
			case o.Status == Unknown: // it was done, if it could be
				return true, next
			case c.kind == Get:
				return o.Out == s && (o.Status == OK) == (s != ""), s
			}
			return ok == (o.Status == OK), next
		},
		Equal: func(a, b any) bool { return a == b },
		DescribeOperation: func(_, output any) string {
			return output.(*Op).String()
		},
	}
}

// step returns the value after the command, and whether it was carried out.
func (c command) step(s string) (next string, ok bool) {
	switch {
	case c.kind == Get:
		return s, true
	case c.kind == Delete:
		return "", s != ""
	case c.ifAny, c.absent && s == "", !c.absent && s != "" && c.want == s:
		return c.value, true
	}
	return s, false
}
