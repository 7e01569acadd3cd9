package trace

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestValid(t *testing.T) {
	for _, id := range []string{"a", "Z9", "0af7651916cd43dd:1", "a-b._:/c", strings.Repeat("x", MaxID)} {
		if !Valid(id) {
			t.Errorf("%q is refused", id)
		}
	}
	for _, id := range []string{"", " ", "a b", "a\nb", "a\x00", "é", "a=b", "a,b", "[", "@", "`", "{", strings.Repeat("x", MaxID+1)} {
		if Valid(id) {
			t.Errorf("%q is taken", id)
		}
	}
	if a, b := NewID(), NewID(); a == b || !Valid(a) {
		t.Errorf("new ids are %q and %q", a, b)
	}
}

// Stages add up, in the order in which they came, from any goroutine.
func TestStages(t *testing.T) {
	tr := New("x")
	ctx := With(context.Background(), tr)
	var wg sync.WaitGroup
	From(ctx).Add("queue", time.Second)
	for range 8 {
		wg.Go(func() { From(ctx).Add("apply", time.Millisecond) })
		wg.Go(func() { _ = tr.Stages().String() })
	}
	wg.Wait()
	tr.Add("none", 0)
	if got := tr.Stages().String(); got != "[queue=1s apply=8ms]" {
		t.Errorf("stages are %s", got)
	}
}

func TestNothingToFollow(t *testing.T) {
	none := From(context.Background())
	none.Add("queue", time.Second)
	if none != nil || none.ID() != "" || len(none.Stages().Group()) != 0 {
		t.Errorf("a context without a trace gave %v", none)
	}
}
