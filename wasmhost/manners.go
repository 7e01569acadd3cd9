package wasmhost

import (
	"context"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// A module that computes runs in a thread of the server, which has all of the server's
// weight, and beside it plugins in processes of their own have a tenth of that: on a
// machine with two processors they wait for tens of milliseconds. So who computes for
// more than a moment looks around and steps aside, and who does for long lets others go
// first.
const (
	ownTime  = 10 * time.Millisecond  // that a module computes in one call before it does, without rests
	lookTime = 250 * time.Microsecond // between two looks
	restTime = time.Millisecond       // for how long others go first
)

// company is who can run on the machine beside a thread that computes.
type company int

const (
	alone   company = iota
	beside          // others, and each has a processor if they are spread well
	crowded         // more than there are processors
)

// pace is that of one module.
type pace struct {
	began, looked, rested time.Time
	poor                  bool // it has no time of its own
}

// begin says that it begins to compute, after it did not.
func (p *pace) begin(now time.Time) { p.began = now }

// rest runs what does not compute. That is no time of its own; much of it is as a
// new beginning.
func (p *pace) rest(do func()) {
	left := time.Now()
	do()
	p.began = p.began.Add(min(2*time.Since(left), time.Since(p.began)))
}

// makeWay is called while it computes. In a crowd it rests every other restTime.
func (p *pace) makeWay(look func() company, stepAside func()) {
	now := time.Now()
	if now.Sub(p.looked) < lookTime || !p.poor && now.Sub(p.began) < lookTime {
		return
	}
	p.looked = now
	switch who := look(); {
	case who == alone:
	case who == crowded && (p.poor || now.Sub(p.began) >= ownTime) && now.Sub(p.rested) >= restTime:
		time.Sleep(restTime)
		p.looked = time.Now()
		p.rested = p.looked
	default:
		stepAside()
	}
}

// paceKey finds in a context the pace of the program that runs in it.
type paceKey struct{}

func paceOf(ctx context.Context) *pace {
	if i, ok := ctx.Value(instanceKey{}).(*instance); ok {
		return &i.pace
	}
	p, _ := ctx.Value(paceKey{}).(*pace)
	return p
}

// leaving has the function that leaves a module leave it: for Go, whose runtime gets its
// turn then.
type leaving struct {
	pause uint32 // its index
	look  func() company
}

// NewFunctionListener implements experimental.FunctionListenerFactory.
func (l *leaving) NewFunctionListener(f api.FunctionDefinition) experimental.FunctionListener {
	if f.Index() != l.pause {
		return nil
	}
	return experimental.FunctionListenerFunc(func(ctx context.Context, _ api.Module, _ api.FunctionDefinition, _ []uint64, _ experimental.StackIterator) {
		if p := paceOf(ctx); p != nil {
			p.makeWay(l.look, stepAside)
		}
	})
}
