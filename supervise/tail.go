package supervise

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// What is kept and logged of the standard error.
const (
	maxLine    = 4 << 10  // bytes of a line; the rest of it is dropped
	keptLines  = 20       // for the report of the end
	maxLogged  = 64 << 10 // bytes a minute that go to the log
	settleTime = 200 * time.Millisecond
)

// Tail is the standard error of a program: it goes to the log, bounded, and its
// last lines are kept. It is drained for ever: a process whose pipe is full stands
// still.
type Tail struct {
	log   *slog.Logger
	ended chan struct{}

	mu     sync.Mutex
	line   []byte
	kept   []string
	minute time.Time
	logged int
	over   bool // more than the log takes in this minute
}

// NewTail returns a Tail that has seen nothing.
func NewTail(log *slog.Logger) *Tail { return &Tail{log: log, ended: make(chan struct{})} }

// drain reads until the end of r.
func (t *Tail) drain(r io.Reader) {
	defer close(t.ended)
	_, _ = io.Copy(t, r) // a pipe that breaks has ended
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLine()
}

// settle waits a moment for the last lines of a process that has ended.
func (t *Tail) settle() {
	select {
	case <-t.ended:
	case <-time.After(settleTime):
	}
}

// Write takes bytes of the standard error, all of them. It never fails.
func (t *Tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for rest := b; len(rest) > 0; {
		part, after, whole := bytes.Cut(rest, []byte{'\n'})
		t.line = append(t.line, part[:min(len(part), maxLine-len(t.line))]...)
		if rest = after; whole {
			t.endLine()
		}
	}
	return len(b), nil
}

// endLine keeps and logs the line that is there. The caller holds mu.
func (t *Tail) endLine() {
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.line), "?"))
	t.line = t.line[:0]
	if text == "" {
		return
	}
	if t.kept = append(t.kept, text); len(t.kept) > keptLines {
		t.kept = t.kept[1:]
	}
	if now := time.Now(); now.Sub(t.minute) > time.Minute {
		t.minute, t.logged, t.over = now, 0, false
	}
	if t.logged += len(text); t.logged > maxLogged {
		if !t.over {
			t.over = true
			t.log.Warn("plugin says more than is logged")
		}
		return
	}
	t.log.Log(context.Background(), meant(text), "plugin says", "line", text)
}

// meant returns the level of a line: one of JSON as slog and hclog write it says
// it.
func meant(line string) slog.Level {
	var said struct {
		Level   string `json:"level"`
		HCLevel string `json:"@level"`
	}
	if line[0] != '{' || json.Unmarshal([]byte(line), &said) != nil {
		return slog.LevelDebug
	}
	var level slog.Level
	if level.UnmarshalText([]byte(said.Level+said.HCLevel)) != nil {
		level = slog.LevelDebug
	}
	return level
}

// last returns the lines that were kept.
func (t *Tail) last() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.kept...)
}

// Say logs and keeps a text that the process has sent in another way, as if it
// had written it to its standard error.
func (p *Child) Say(text string) { _, _ = p.said.Write([]byte(text + "\n")) } // it never fails
