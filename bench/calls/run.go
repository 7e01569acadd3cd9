package calls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// small is how much is read and written in one call, in bytes.
const small = 4 << 10

// rounds is how often both sides take turns.
const rounds = 20

// most is how many calls of one side there are in a round.
const most = 5000

// Config says what to measure.
type Config struct {
	Device vfs.Device
	Verbs  vfs.VerbSet
	For    time.Duration // for each kind of call, on each side
	Size   int64         // of the large file, in bytes; 0 writes none
	Tell   func(string)  // what is under way
}

// Cost is what one kind of call takes, in microseconds.
type Cost struct {
	Call       string  `json:"call"`
	Calls      int     `json:"calls"`
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	BuiltinP50 float64 `json:"builtin_p50_us"`
	BuiltinP99 float64 `json:"builtin_p99_us"`
	Added      float64 `json:"added_p50_us"` // what it costs that the plugin is from outside
	Ratio      float64 `json:"ratio_p50"`
}

// Rate is how fast a large file goes, in MB (1,000,000 bytes) a second.
type Rate struct {
	What    string  `json:"what"`
	Bytes   int64   `json:"bytes"`
	MBs     float64 `json:"mb_s"`
	Builtin float64 `json:"builtin_mb_s"`
	Ratio   float64 `json:"ratio"`
}

// Report is all that was measured.
type Report struct {
	Costs  []Cost   `json:"calls"`
	Rates  []Rate   `json:"rates"`
	Floors []Floor  `json:"floors"`
	Notes  []string `json:"notes"` // what was not, and why
}

// side is one of the two that are compared.
type side interface {
	stat(ctx context.Context, p vfs.Path) (vfs.Info, error)
	list(ctx context.Context, p vfs.Path) ([]vfs.Info, error)
	readAt(ctx context.Context, p vfs.Path, b []byte, off int64) (int, error)
	write(ctx context.Context, p vfs.Path, data []byte) error
	put(ctx context.Context, p vfs.Path, r io.Reader) error
}

// runner is one measurement.
type runner struct {
	Config
	plugin   *device
	builtin  *builtin
	dir, dot vfs.Path // of the built-in one: its directory and file
	sample   sample
	report   Report
}

// Run measures. What the plugin cannot do is left out, and noted.
func Run(ctx context.Context, c Config) (*Report, error) {
	r := &runner{Config: c, plugin: &device{Device: c.Device, verbs: c.Verbs}, report: Report{Costs: []Cost{}, Rates: []Rate{}, Floors: []Floor{}, Notes: []string{}}}
	var err error
	if r.builtin, err = newBuiltin(); err != nil {
		return nil, err
	}
	err = r.run(ctx)
	return &r.report, errors.Join(err, r.builtin.close())
}

func (r *runner) run(ctx context.Context) (err error) {
	r.sample, err = r.plugin.find(ctx)
	if r.sample.writable {
		defer r.clear(context.WithoutCancel(ctx))
	}
	if err != nil {
		return fmt.Errorf("what the plugin has cannot be listed: %w", err)
	}
	if r.dir, r.dot, err = r.builtin.fill(ctx, r.sample.entries, r.sample.size); err != nil {
		return err
	}
	if err := r.calls(ctx); err != nil {
		return err
	}
	r.Tell("this machine")
	if r.report.Floors, err = Floors(ctx, r.For/2); err != nil {
		r.report.Floors = []Floor{}
		r.note("what this machine takes at least is not measured: %v", err)
	}
	if r.Size == 0 || !r.sample.writable {
		return nil
	}
	return r.large(ctx)
}

// clear takes away what was written.
func (r *runner) clear(ctx context.Context) {
	if err := r.plugin.clear(ctx, r.sample); err != nil {
		r.note("%s stays: %v", r.sample.file, err)
	}
}

// note adds what was not measured.
func (r *runner) note(format string, args ...any) {
	r.report.Notes = append(r.report.Notes, fmt.Sprintf(format, args...))
}

// calls measures the small ones.
func (r *runner) calls(ctx context.Context) error {
	buf, data := make([]byte, small), make([]byte, small)
	dir := func(s side) vfs.Path {
		if s == side(r.plugin) {
			return r.sample.dir
		}
		return r.dir
	}
	file := func(s side) vfs.Path {
		if s == side(r.plugin) {
			return r.sample.file
		}
		return r.dot
	}
	kinds := []struct {
		name string
		can  bool
		call func(side) error
	}{
		{"stat", r.sample.file != "", func(s side) error { _, err := s.stat(ctx, file(s)); return err }},
		{fmt.Sprintf("list of %d", r.sample.entries), true, func(s side) error { _, err := s.list(ctx, dir(s)); return err }},
		{"read " + sizeText(min(small, r.sample.size)), r.sample.file != "", func(s side) error {
			n, err := s.readAt(ctx, file(s), buf[:r.sample.size], 0)
			if err == io.EOF || err == nil && int64(n) == r.sample.size {
				return nil
			}
			return err
		}},
		{"write " + sizeText(small), r.sample.writable, func(s side) error { return s.write(ctx, file(s), data) }},
	}
	switch {
	case r.sample.file != "":
	case r.sample.unread != nil:
		r.note("stat and read are not measured: no file can be read: %v", r.sample.unread)
	default:
		r.note("stat and read are not measured: there is no file to read")
	}
	if !r.sample.writable {
		r.note("writes are not measured: %s", r.sample.why)
	}
	for _, k := range kinds {
		if !k.can {
			continue
		}
		r.Tell(k.name)
		c, err := r.compare(ctx, k.call)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		c.Call = k.name
		r.report.Costs = append(r.report.Costs, c)
	}
	return nil
}

// compare runs one kind of call on both sides, in turns.
func (r *runner) compare(ctx context.Context, call func(side) error) (Cost, error) {
	sides := []side{r.plugin, r.builtin}
	var took [2][]time.Duration
	for round := range rounds {
		for i := range sides {
			n := (i + round) % 2 // neither is always the first
			until := time.Now().Add(r.For / rounds)
			for calls := 0; calls < most; calls++ {
				began := time.Now()
				if began.After(until) && calls > 0 {
					break
				}
				if err := call(sides[n]); err != nil {
					return Cost{}, err
				}
				took[n] = append(took[n], time.Since(began))
			}
			if err := ctx.Err(); err != nil {
				return Cost{}, err
			}
		}
	}
	c := Cost{Calls: len(took[0])}
	c.P50, c.P99 = quantiles(took[0])
	c.BuiltinP50, c.BuiltinP99 = quantiles(took[1])
	c.Added, c.Ratio = c.P50-c.BuiltinP50, c.P50/max(c.BuiltinP50, 0.001)
	return c, nil
}

// quantiles returns the median and the 99th hundredth, in microseconds.
func quantiles(d []time.Duration) (p50, p99 float64) {
	slices.Sort(d)
	at := func(q int) float64 { return float64(d[(len(d)-1)*q/100].Nanoseconds()) / 1e3 }
	return at(50), at(99)
}

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
