package test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// paceEvery is how often each of the other files is asked for.
const paceEvery = 10 * time.Millisecond

// paced asks for the other files at a pace for so long, and returns how long each
// answer took from when it was due.
func (h *hostileNode) paced(long time.Duration) []time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	var clients sync.WaitGroup
	began := time.Now()
	for f := range h.others {
		clients.Go(func() {
			for n := 0; ; n++ {
				due := began.Add(time.Duration(n)*paceEvery + time.Duration(f)*paceEvery/3)
				if due.Sub(began) > long {
					return
				}
				time.Sleep(time.Until(due))
				h.beside(f)
				mu.Lock()
				took = append(took, time.Since(due))
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	return took
}

// memoryMonitor says whether the kernel samples the use of memory (DAMON); its thread
// does not give way to others.
const memoryMonitor = "/sys/kernel/mm/damon/admin/kdamonds/0/state"

// quantile returns the value below which a part of all lies.
func quantile(all []time.Duration, part float64) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[min(int(part*float64(len(all))), len(all)-1)]
}

// raised gives all threads of this process, and so what it starts, a priority that
// others can be below, where a test run has the lowest.
func raised(t *testing.T) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range threads {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if now, err := syscall.Getpriority(syscall.PRIO_PROCESS, id); err == nil && 20-now > 5 {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, 5) // without the right to it, all have the lowest
		}
	}
}

// stolen returns the time that this machine's host took from each processor, on average.
func stolen(t testing.TB) time.Duration {
	t.Helper()
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	processors := strings.Count(string(b), "\ncpu")
	line, _, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal, in hundredths of a second
	if len(fields) < 9 || processors == 0 {
		return 0
	}
	n, err := strconv.Atoi(fields[8])
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * 10 * time.Millisecond / time.Duration(processors)
}

// block is what paced measured, and the part of the time in which the machine's host
// gave its processors to others.
type block struct {
	took []time.Duration
	lost float64
}

// block is paced for so long.
func (h *hostileNode) block(long time.Duration) block {
	h.t.Helper()
	before := stolen(h.t)
	b := block{took: h.paced(long)}
	b.lost = (stolen(h.t) - before).Seconds() / long.Seconds()
	return b
}

// undisturbed measures until a block lost less than a fiftieth of the processors. After
// five tries it tells of a machine on which nothing can be compared.
func undisturbed(t *testing.T, measure func() block) []time.Duration {
	t.Helper()
	for try := 1; ; try++ {
		switch b := measure(); {
		case b.lost < .02:
			return b.took
		case try == 5:
			t.Fatalf("the host of this machine gave %.0f %% of its processors to others: nothing can be compared", 100*b.lost)
		}
	}
}

// What others wait beside plugins that loop, fork, eat and flood is what they wait
// beside nobody. The long form compares: blocks with and without the plugin in turn,
// the medians of the blocks' p99 within a fifth of each other (one block in which the
// disk was slow says nothing of plugins), with the breaker as it comes: after five
// ends in ten minutes a mount starts no more. PFS_SOAK_CRASHES is another number of
// ends, with which nothing is asserted: each start costs the machine some
// milliseconds, whoever waits. With PFS_SOAK_PROCESSES the plugins may start processes,
// as they may only where that is granted; nothing is asserted then, either.
// PFS_SOAK_FAULT is one of them: NAME/FILE.
func TestHostilePeace(t *testing.T) {
	long, blocks := 200*time.Millisecond, 1
	crashes, asserted := 1000, soak() && os.Getenv("PFS_SOAK_CRASHES") == ""
	if soak() {
		long, blocks = 3*time.Second, 11
		raised(t)
	}
	if asserted {
		crashes = 5
	} else if n, err := strconv.Atoi(os.Getenv("PFS_SOAK_CRASHES")); err == nil {
		crashes = n
	}
	grants := "{}"
	if os.Getenv("PFS_SOAK_PROCESSES") != "" {
		grants, asserted = mayStart, false
	}
	if b, err := os.ReadFile(memoryMonitor); err == nil && strings.TrimSpace(string(b)) == "on" {
		t.Logf("%s is on: beside a busy processor others wait for it, for up to 24 ms, whoever keeps that busy", memoryMonitor)
	}
	h := newHostileNode(t, crashes, grants)
	h.paced(long) // what is made once
	for _, c := range []struct{ name, does string }{
		{"hostile", "/loop"}, {"hostile", "/bomb"}, {"hostile", "/threads"}, {"hostile", "/huge"}, {"hostile-py", "/bomb"}, {"hostile-py", "/flood"},
		{"hostile-http", "/flood"}, {"hostile-http", "/eat"}, {"hostile-wasm", "/loop"}, {"hostile-wasm", "/eat"},
	} {
		if only := os.Getenv("PFS_SOAK_FAULT"); only != "" && only != c.name+c.does {
			continue
		}
		var quiet, noisy [][]time.Duration
		for range blocks {
			alone := func() block { return h.block(long) }
			beside := func() block { return h.blockBeside(c.name, c.does, long) }
			if !asserted {
				quiet, noisy = append(quiet, alone().took), append(noisy, beside().took)
				continue
			}
			quiet = append(quiet, undisturbed(t, alone))
			noisy = append(noisy, undisturbed(t, beside))
		}
		t.Log(compared(c.name+c.does, quiet, noisy))
		before, with := median(quiet, .99), median(noisy, .99)
		if asserted && with > before+before/5 {
			t.Errorf("%s%s: p99 beside it is %v, without it %v: more than a fifth longer", c.name, c.does, with, before)
		}
	}
}

// blockBeside is one beside a plugin that does one thing without a pause.
func (h *hostileNode) blockBeside(name, does string, long time.Duration) block {
	h.t.Helper()
	h.mountSoon(name, "/bad")
	stop := h.tricks(does)
	b := h.block(long)
	stop()
	h.want(200, "POST", "/unmount", `{"path":"/bad"}`)
	if !harness.Poll(30*time.Second, func() bool { return len(children(h.t, h.node)) == 2 }) {
		h.t.Errorf("processes are left: %v", children(h.t, h.node))
	}
	return b
}

// tricks has the plugin at /bad do one thing without a pause, as often at once as the
// machine has processors, until stop is called.
func (h *hostileNode) tricks(does string) (stop func()) {
	over := make(chan struct{})
	var callers sync.WaitGroup
	for range runtime.NumCPU() {
		callers.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					_, _ = h.trick("/bad", does) // what it answers is for other tests
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	return func() { close(over); callers.Wait() }
}

// median returns the median over blocks of a quantile.
func median(blocks [][]time.Duration, part float64) time.Duration {
	var each []time.Duration
	for _, b := range blocks {
		each = append(each, quantile(b, part))
	}
	return quantile(each, .5)
}

// compared is a row of what others waited: medians over blocks.
func compared(name string, quiet, noisy [][]time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-20s %d blocks of %d requests", name, len(quiet)+len(noisy), len(quiet[0]))
	for _, q := range []float64{.5, .99, .999} {
		fmt.Fprintf(&b, "  p%g %v -> %v", q*100, median(quiet, q).Round(time.Microsecond), median(noisy, q).Round(time.Microsecond))
	}
	fmt.Fprintf(&b, "  (%d processors)", runtime.NumCPU())
	return b.String()
}
