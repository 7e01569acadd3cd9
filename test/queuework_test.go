package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// book is what the commands of one worker have written down: begin and end of
// each message, with its attempt.
type book struct{ file string }

// entries returns the messages that were begun, and those that came to an end,
// as "id attempt".
func (b book) entries(t *testing.T) (begun, ended []string) {
	t.Helper()
	text, err := os.ReadFile(b.file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		what, entry, _ := strings.Cut(strings.TrimSpace(line), " ")
		if what == "begin" {
			begun = append(begun, entry)
		} else {
			ended = append(ended, entry)
		}
	}
	return begun, ended
}

// TestQueueWork has three workers work on a queue, and kills one in the middle of
// a message again and again. Each message is done; none comes again but one whose
// lease ran out under a worker that was killed.
func TestQueueWork(t *testing.T) {
	t.Parallel()
	messages, kills := 90, 4
	if os.Getenv("PFS_SOAK") != "" {
		messages, kills = 2000, 60
	}
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			c := harness.Start(t, harness.Options{Nodes: nodes})
			const queue = "/queuefs/jobs"
			c.Run("", "queue", "create", queue, "--max-attempts", "20")
			var in bytes.Buffer
			for i := range messages {
				fmt.Fprintln(&in, "job", i)
			}
			c.Run(in.String(), "queue", "put", queue, "-")
			c.SameDigest() // a node without the queue would end a worker
			dir := t.TempDir()
			// As long as there is this file, the fourth message of a worker does not end:
			// however slow the test is, there are messages left to kill a worker in.
			hold := filepath.Join(dir, "hold")
			if err := os.WriteFile(hold, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			var books []book
			start := func(i int) *program {
				b := book{filepath.Join(dir, fmt.Sprint(len(books)))}
				books = append(books, b)
				job := `echo "begin $PFS_MESSAGE_ID $PFS_MESSAGE_ATTEMPT" >>` + b.file + `; cat >/dev/null; sleep 0.1
					[ $(grep -c end ` + b.file + `) -lt 3 ] || while [ -e ` + hold + ` ]; do sleep 0.1; done
					echo "end $PFS_MESSAGE_ID $PFS_MESSAGE_ATTEMPT" >>` + b.file
				order := append(append([]*harness.Node{}, c.Nodes[i%nodes:]...), c.Nodes[:i%nodes]...)
				return begin(t, c.Bin, order, "queue", "work", queue, "--until-empty", "--lease", "10s", "--exec", job)
			}
			began := time.Now()
			workers := []*program{start(0), start(1), start(2)}
			at := []int{0, 1, 2} // the books of the workers
			for k := range kills {
				i := k % len(workers)
				if !harness.Poll(60*time.Second, func() bool {
					b, e := books[at[i]].entries(t)
					return len(e) >= 3 && len(b) > len(e)
				}) {
					t.Fatalf("worker %d has nothing to do: %s", i, workers[i].stderr)
				}
				workers[i].kill()
				workers[i] = start(i)
				at[i] = len(books) - 1
			}
			if err := os.Remove(hold); err != nil {
				t.Fatal(err)
			}
			for i, w := range workers {
				for range w.lines {
				}
				_ = w.cmd.Wait() // what counts is the code
				if code := w.cmd.ProcessState.ExitCode(); code != 0 && code != 9 {
					t.Errorf("worker %d: exit code %d: %s", i, code, w.stderr)
				}
			}
			judge(t, c, queue, books, messages, kills, time.Since(began))
		})
	}
}

// judge compares what the workers wrote down with the figures of the queue.
func judge(t *testing.T, c *harness.Cluster, queue string, books []book, messages, kills int, took time.Duration) {
	t.Helper()
	attempts, done := map[string]int{}, map[string]int{}
	twice := 0
	for _, b := range books {
		begun, ended := b.entries(t)
		for _, e := range begun {
			if attempts[e]++; attempts[e] > 1 {
				t.Errorf("%s was begun twice", e)
			}
		}
		for _, e := range ended {
			id, _, _ := strings.Cut(e, " ")
			if done[id]++; done[id] > 1 {
				twice++
			}
		}
	}
	s, err := c.Client(0).QueueStats(client.WithFresh(t.Context()), queue)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d messages in %v, %d kills: %d done, %d of them more than once; %d taken, %d acked, %d leases ran out",
		messages, took.Round(time.Millisecond), kills, len(done), twice, s.Taken, s.Acked, s.Expired)
	if len(done) != messages || s.Acked != uint64(messages) || s.Ready+s.Inflight+s.Delayed+s.Dead != 0 {
		t.Errorf("%d of %d messages were done: %+v", len(done), messages, s)
	}
	if s.Taken != s.Acked+s.Expired || s.Nacked != 0 || len(attempts) > int(s.Taken) || twice > int(s.Expired) {
		t.Errorf("a message came again though its lease had not run out: %d begun, %+v", len(attempts), s)
	}
	if s.Expired == 0 || s.Expired > uint64(2*kills) {
		t.Errorf("%d leases ran out, with %d kills", s.Expired, kills)
	}
}

// TestQueueWorkIdle has a worker wait for a message, and end when it is told to.
func TestQueueWorkIdle(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	c.Run("", "queue", "create", "/queuefs/jobs")
	p := begin(t, c.Bin, c.Nodes, "queue", "work", "/queuefs/jobs", "--jobs", "4", "--exec", "cat")
	idle(t, c.Nodes[0], "queue work")
	c.Run("", "queue", "put", "/queuefs/jobs", "one\n")
	if l := p.line(); l.text != "one" {
		t.Errorf("%q", l.text)
	}
	if code := p.end(syscall.SIGINT); code != 130 {
		t.Errorf("exit code %d: %s", code, p.stderr)
	}
}
