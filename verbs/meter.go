package verbs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
)

// meter tells how far a copy is, on stderr: a line that is drawn again on a
// terminal, lines of text every so often, or lines of JSON.
type meter struct {
	app   *app
	form  string        // auto, json or none
	every time.Duration // of lines of text or JSON; 0: none, or every second

	started             time.Time
	files, bytes        atomic.Int64 // done
	allFiles, allBytes  atomic.Int64 // found so far
	counted             atomic.Bool  // all were found
	failed, same, moved atomic.Int64 // moved: bytes that really crossed

	mu    sync.Mutex // over what is on the screen
	drawn bool
}

// flags gives a command the flags of its meter.
func (m *meter) flags(c *cobra.Command) {
	c.Flags().StringVar(&m.form, "progress", "auto", "auto: on a terminal; json: a line every second, for programs; none")
	c.Flags().DurationVar(&m.every, "stats", 0, "a line of figures every so often, as 5s, also where stderr is no terminal")
}

func (m *meter) check() error {
	switch m.form {
	case "auto", "json", "none":
	default:
		return cli.Usage("--progress %s is none of auto, json and none", m.form)
	}
	if m.every != 0 && m.every < 10*time.Millisecond {
		return cli.Usage("--stats %s is too often; 1s is well", m.every)
	}
	return nil
}

// shown reports whether anyone looks.
func (m *meter) shown() bool {
	return !m.app.Quiet && (m.form == "json" || m.every > 0 || m.form == "auto" && m.app.TTY)
}

// start begins to tell, until the function that it returns is called. survey
// counts beside it what a tree has; nil: nothing does.
func (m *meter) start(ctx context.Context, survey func(ctx context.Context, rel string)) func() {
	m.started = time.Now()
	if !m.shown() {
		return func() {}
	}
	every := m.every
	switch {
	case every > 0:
	case m.form == "json":
		every = time.Second
	default:
		every = 200 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	if survey != nil {
		wg.Go(func() {
			survey(ctx, ".")
			m.counted.Store(ctx.Err() == nil)
		})
	}
	wg.Go(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for ctx.Err() == nil {
			select {
			case <-t.C:
				m.tell()
			case <-ctx.Done():
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
		m.wipe()
		if m.form == "json" || m.every > 0 {
			m.tell() // the last word
		}
	}
}

// tell writes the figures.
func (m *meter) tell() {
	f := m.figures()
	var b []byte
	switch {
	case m.form == "json":
		b, _ = json.Marshal(f) // numbers always encode
		b = append(b, '\n')
	case m.every > 0:
		b = []byte(f.String() + "\n")
	default:
		b = []byte("\r\x1b[K" + f.String())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drawn = m.form != "json" && m.every == 0
	_, _ = m.app.Stderr.Write(b) // what cannot be shown is no reason to stop
}

// wipe takes the line on the terminal away, before others write there.
func (m *meter) wipe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drawn {
		_, _ = io.WriteString(m.app.Stderr, "\r\x1b[K") // as above
		m.drawn = false
	}
}

// jsonLine writes v to stdout as JSON on a line.
func (a *app) jsonLine(v any) error { return json.NewEncoder(a.Stdout).Encode(v) }

// figures are what a line tells.
type figures struct {
	Files    int64   `json:"files"` // done, the unchanged ones among them
	AllFiles int64   `json:"total_files"`
	Bytes    int64   `json:"bytes"`
	AllBytes int64   `json:"total_bytes"`
	Counted  bool    `json:"total_known"`      // or else the totals still grow
	Rate     float64 `json:"bytes_per_second"` // that crossed
	ETA      float64 `json:"eta_seconds"`      // -1: not known
	Failed   int64   `json:"failed"`
}

func (m *meter) figures() figures {
	took := max(time.Since(m.started).Seconds(), 1e-3)
	f := figures{Files: m.files.Load(), AllFiles: m.allFiles.Load(), Bytes: m.bytes.Load(), AllBytes: m.allBytes.Load(),
		Counted: m.counted.Load(), Rate: float64(m.moved.Load()) / took, ETA: -1, Failed: m.failed.Load()}
	if f.Counted && f.Bytes > 0 {
		f.ETA = max(0, float64(f.AllBytes-f.Bytes)*took/float64(f.Bytes))
	}
	return f
}

// String is a line for people.
func (f figures) String() string {
	s := fmt.Sprintf("%d of %d files, %s of %s", f.Files, f.AllFiles, cli.SizeText(f.Bytes), cli.SizeText(f.AllBytes))
	if !f.Counted {
		s += " so far"
	}
	s += ", " + cli.SizeText(int64(f.Rate)) + "/s"
	if f.ETA >= 0 {
		s += ", " + (time.Duration(f.ETA) * time.Second).String() + " left"
	}
	if f.Failed > 0 {
		s += fmt.Sprintf(", %d failed", f.Failed)
	}
	return s
}

// reader counts what is read of r as it goes by.
func (m *meter) reader(r io.Reader) *metered { return &metered{r: r, m: m} }

type metered struct {
	r io.Reader
	m *meter
	n int64
}

// Read reads on.
func (r *metered) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.add(int64(n))
	return n, err
}

func (r *metered) add(n int64) {
	r.n += n
	r.m.bytes.Add(n)
	r.m.moved.Add(n)
}

// undo counts nothing of it: it is read again, or was in vain.
func (r *metered) undo() { r.add(-r.n) }

// meteredFile can be read again.
type meteredFile struct {
	*metered
	s io.Seeker
}

// Seek goes back to the start, or tells where it is.
func (f *meteredFile) Seek(off int64, whence int) (int64, error) {
	at, err := f.s.Seek(off, whence)
	if err == nil {
		f.add(at - f.n)
	}
	return at, err
}
