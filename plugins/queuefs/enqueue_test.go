package queuefs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// sends writes data to enqueue with options and returns the answer.
func (s *state) sends(data string, o vfs.Options) (a struct {
	ID, Seq    any
	Duplicate  bool
	Duplicates int
}) {
	s.t.Helper()
	r := s.must(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Data: []byte(data), Target: o.Encode()})
	if err := json.Unmarshal(r.Data, &a); err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *state) drainData(q vfs.Path) (out []string) {
	for {
		got := s.dequeue(q)
		if got == "{}" {
			return out
		}
		out = append(out, *parse(s.t, got).Data)
	}
}

func TestPriorities(t *testing.T) {
	s := newState(t)
	for i, p := range []string{"4", "0", "9", "", "9", "5"} {
		o := vfs.Options{}
		if p != "" {
			o["priority"] = p
		}
		s.sends(fmt.Sprint(i), o)
	}
	if got := *parse(t, s.read("/q/peek", 99)).Data; got != "2" {
		t.Errorf("peek shows %s", got)
	}
	l := s.take("/q", time.Minute) // "2": back at its place
	s.mustWrite("/q/nack", `{"lease":"`+l.Lease+`"}`)
	if got := s.drainData("/q"); !slices.Equal(got, []string{"2", "4", "5", "0", "3", "1"}) {
		t.Errorf("order %v", got)
	}
}

func TestDelays(t *testing.T) {
	s := newState(t)
	s.sends("late", vfs.Options{"delay": "2s"})
	s.sends("now", nil)
	s.sends("seconds", vfs.Options{"delay": "0.5"})
	if got := s.list("/q/delayed"); len(got) != 2 || s.read("/q/size", 9) != "1" {
		t.Errorf("delayed: %v, ready: %s", got, s.read("/q/size", 9))
	}
	s.pass(700 * time.Millisecond)
	if s.read("/q/size", 9) != "2" {
		t.Errorf("ready after 0.7 s: %s", s.read("/q/size", 9))
	}
	s.pass(1500 * time.Millisecond)
	if got := s.drainData("/q"); !slices.Equal(got, []string{"late", "now", "seconds"}) {
		t.Errorf("order %v", got)
	}
	l := func() lent { s.enqueue("/q", "again"); return s.take("/q", time.Minute) }()
	s.mustWrite("/q/nack", `{"lease":"`+l.Lease+`","delay":"1s"}`)
	if names := s.list("/q/delayed"); !slices.Equal(names, []string{l.ID}) {
		t.Errorf("delayed: %v", names)
	}
	s.pass(1200 * time.Millisecond)
	if again := s.take("/q", time.Minute); again.ID != l.ID || again.Attempt != 2 {
		t.Errorf("%+v", again)
	}
}

func TestBatch(t *testing.T) {
	s := newState(t)
	s.enqueue("/q", "before")
	a := s.sends("{\"n\":1}\n\n{\"n\":2}\r\nlast, without an end", vfs.Options{"batch": "true", "priority": "7"})
	if fmt.Sprint(a.Seq) != "[2 3 4]" || len(a.ID.([]any)) != 3 {
		t.Errorf("%+v", a)
	}
	if got := s.drainData("/q"); !slices.Equal(got, []string{`{"n":1}`, `{"n":2}`, "last, without an end", "before"}) {
		t.Errorf("%q", got)
	}
	a = s.sends("a\nb\n", vfs.Options{"batch": "true", "dedup": "d", "line": "0"})
	b := s.sends("a\nb\n", vfs.Options{"batch": "true", "dedup": "d"})
	c := s.sends("c\nd\n", vfs.Options{"batch": "true", "dedup": "d", "line": "1"})
	if a.Duplicates != 0 || b.Duplicates != 2 || c.Duplicates != 1 || fmt.Sprint(a.ID) != fmt.Sprint(b.ID) {
		t.Errorf("%+v %+v %+v", a, b, c)
	}
	if got := s.drainData("/q"); !slices.Equal(got, []string{"a", "b", "d"}) {
		t.Errorf("%q", got)
	}
	if _, err := s.apply(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Refs: s.keep([]byte("a\nb"), 9), Target: "batch=true"}); vfs.KindOf(err) != vfs.TooLarge {
		t.Errorf("a batch beside the log: %v", err)
	}
}

func TestDedup(t *testing.T) {
	s := newState(t)
	o := vfs.Options{"dedup": "order 17"}
	first := s.sends("one", o)
	s.Advance(4 * time.Minute)
	if again := s.sends("two", o); !again.Duplicate || again.ID != first.ID || again.Seq != first.Seq {
		t.Errorf("%+v after %+v", again, first)
	}
	if got := s.drainData("/q"); !slices.Equal(got, []string{"one"}) {
		t.Errorf("%q", got)
	}
	s.mustWrite("/q/clear", "")
	if again := s.sends("three", o); !again.Duplicate {
		t.Error("forgotten by clear")
	}
	s.Advance(time.Minute)
	if next := s.sends("four", o); next.Duplicate || next.ID == first.ID {
		t.Errorf("after the window: %+v", next)
	}
	s.mustWrite("/q/ctl", "dedup=0")
	if next := s.sends("five", o); next.Duplicate {
		t.Error("known without a window")
	}
}

// Ids that are out of the window are forgotten as others come.
func TestDedupIsBounded(t *testing.T) {
	s := newState(t)
	s.unchecked = true
	for i := range 300 {
		s.sends("x", vfs.Options{"dedup": fmt.Sprint("id", i%200)})
		s.Advance(3 * time.Second)
	}
	s.unchecked = false
	s.sends("x", vfs.Options{"dedup": "last"})
	rows := 0
	for range s.View().Scan([]byte{rowSeen}, nil) {
		rows++
	}
	if window := int(standard().dedup / (3 * time.Second)); rows > window+2 || rows < window-2 {
		t.Errorf("%d ids are remembered of the %d in the window", rows, window)
	}
}

func TestLimits(t *testing.T) {
	s := newState(t)
	s.enqueue("/q", "12345")
	s.mustWrite("/q/ctl", "max_messages=2 max_bytes=10")
	for data, want := range map[string]vfs.Kind{"123456": vfs.NoSpace, "1234567890": vfs.NoSpace} {
		if _, err := s.write("/q/enqueue", data); vfs.KindOf(err) != want || !strings.Contains(err.Error(), "max_bytes is 10") {
			t.Errorf("%s: %v", data, err)
		}
	}
	s.enqueue("/q", "")
	s.take("/q", time.Minute) // still there
	if _, err := s.write("/q/enqueue", ""); vfs.KindOf(err) != vfs.NoSpace || !strings.Contains(err.Error(), "max_messages is 2") {
		t.Errorf("a third message: %v", err)
	}
	if _, err := s.apply(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Data: []byte("a\nb\n"), Target: "batch=true"}); vfs.KindOf(err) != vfs.NoSpace {
		t.Errorf("a batch: %v", err)
	}
	s.dequeue("/q")
	s.enqueue("/q", "12345")
	s.mustWrite("/q/ctl", "max_messages=0 max_bytes=0")
	s.enqueue("/q", strings.Repeat("x", 100))
}

func TestSettings(t *testing.T) {
	s := newState(t)
	s.must(vfs.Op{Verb: vfs.Mkdir, Path: "/q"})
	const all = "lease=60s\nmax_attempts=5\ndedup=5m\npriority=4\ndelay=0s\nmax_messages=0\nmax_bytes=0\n"
	if got := s.read("/q/ctl", 10); got != all {
		t.Errorf("%q", got)
	}
	before, err := s.fs.Stat(t.Context(), s.View(), "/q/ctl")
	if err != nil {
		t.Fatal(err)
	}
	r := s.mustWrite("/q/ctl", "lease=90 max_attempts=7\n\tmax_bytes=10MB\nmax_messages=1000 delay=1h30m dedup=12h priority=9")
	if r.Version <= before.Version {
		t.Error("the version has not changed")
	}
	if got, want := s.read("/q/ctl", 10), "lease=90s\nmax_attempts=7\ndedup=12h\npriority=9\ndelay=90m\nmax_messages=1000\nmax_bytes=10485760\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.mustWrite("/q/ctl", all) // what is read can be written
	if got := s.read("/q/ctl", 10); got != all {
		t.Errorf("%q", got)
	}
	for text, says := range map[string]string{
		"leese=5s":                  "did you mean lease?",
		"max_attempt=5":             "did you mean max_attempts?",
		"colour=red":                "there are lease, max_attempts, dedup, priority, delay, max_messages, max_bytes",
		"lease":                     "is not a setting such as lease=60s",
		"lease=0":                   "lease must be 100ms to 12h",
		"lease=-1s":                 "lease must be",
		"lease=87600h":              "lease must be",
		"lease=soon":                "such as 30s, or seconds",
		"lease=NaN":                 "such as 30s",
		"max_attempts=0":            "whole number, 1 to 1000",
		"max_attempts=1.5":          "whole number",
		"priority=10":               "0 to 9",
		"delay=8d":                  "such as 30s",
		"delay=200h":                "delay must be 0s to 168h",
		"dedup=25h":                 "dedup must be 0s to 24h",
		"max_bytes=lots":            "max_bytes",
		"max_messages=-1":           "whole number",
		"lease=5s max_attempts=0":   "whole number",
		"lease=5s lease=1ms lease=": "lease must be",
	} {
		before := s.Digest()
		_, err := s.write("/q/ctl", text)
		if vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
		if s.Digest() != before {
			t.Errorf("%s changed something", text)
		}
	}
}

// What a client may get wrong is its mistake, and changes nothing.
func TestMistakesOfWorkers(t *testing.T) {
	s := newState(t)
	s.enqueue("/q", "x")
	s.enqueue("/q", "y")
	l := s.take("/q", time.Minute).Lease
	refs := s.keep(make([]byte, 40_000), 20_000)
	for _, c := range []struct {
		path vfs.Path
		data string
		want vfs.Kind
		says string
	}{
		{"/q/ack", "", vfs.Invalid, `ack takes {"lease":"..."}, or one lease a line`},
		{"/q/ack", " \n ", vfs.Invalid, "one lease a line"},
		{"/q/ack", "1", vfs.Invalid, `"1" is not a lease`},
		{"/q/ack", strings.ToUpper(l) + "G", vfs.Invalid, "is not a lease"},
		{"/q/ack", "0" + l, vfs.Invalid, "is not a lease"},
		{"/q/ack", "1-0000000000000001", vfs.LeaseLost, "1-0000000000000001"},
		{"/q/ack", l + " " + l, vfs.LeaseLost, "has been settled"},
		{"/q/ack", `{"lease":"` + l + `","delay":"5s"}`, vfs.Invalid, "with the members lease"},
		{"/q/ack", `{"lease":"` + l + `"`, vfs.Invalid, "JSON objects"},
		{"/q/ack", `{"lease":7}`, vfs.Invalid, "JSON objects"},
		{"/q/ack", `{}`, vfs.Invalid, "JSON objects"},
		{"/q/nack", `{"lease":"` + l + `","delya":"5s"}`, vfs.Invalid, "lease, delay, reason"},
		{"/q/nack", `{"lease":"` + l + `","delay":"-5s"}`, vfs.Invalid, "delay must be 0s to 168h"},
		{"/q/nack", `{"lease":"` + l + `","for":"5s"}`, vfs.Invalid, "lease, delay, reason"},
		{"/q/extend", `{"lease":"` + l + `","for":"0s"}`, vfs.Invalid, "for must be 100ms to 12h"},
		{"/q/extend", `{"lease":"` + l + `","for":"10000h"}`, vfs.Invalid, "for must be"},
		{"/q/redrive", "", vfs.Invalid, "or *"},
		{"/q/redrive", "* *", vfs.Invalid, `"*" is not the id`},
		{"/q/redrive", "17", vfs.Invalid, "is not the id"},
		{"/q/redrive", "01234567-89ab-7cde-8f01-23456789abcd", vfs.NotFound, "no dead message"},
		{"/q/take", "x", vfs.Permission, "read-only"},
		{"/q/stats.json", "x", vfs.Permission, "read-only"},
		{"/q/dead", "x", vfs.IsDirectory, ""},
		{"/q/dead/x", "x", vfs.Permission, "dead is read-only"},
		{"/q/inflight/" + vfs.Path(l), "x", vfs.Permission, "inflight is read-only"},
		{"/q/dead/enqueue", "x", vfs.Permission, "reserved"},
		{"/no/ack", l, vfs.NotFound, ""},
	} {
		before := s.Digest()
		_, err := s.write(c.path, c.data)
		if vfs.KindOf(err) != c.want || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s %q: %v", c.path, c.data, err)
		}
		if s.Digest() != before {
			t.Errorf("%s %q changed something", c.path, c.data)
		}
	}
	for _, name := range []string{"ack", "nack", "extend", "redrive"} {
		if _, err := s.apply(vfs.Op{Verb: vfs.Write, Path: vfs.Path("/q").Child(name), Refs: refs}); vfs.KindOf(err) != vfs.TooLarge {
			t.Errorf("40,000 bytes to %s: %v", name, err)
		}
	}
	for target, says := range map[string]string{
		"max=0": "max must be 1 to 100", "max=101": "max must be", "max=x": "max must be", "lease=0s": "lease must be",
		"lease=13h": "lease must be", "lease=x": "such as 30s",
	} {
		if _, err := s.apply(vfs.Op{Verb: vfs.Consume, Path: "/q/take", Target: target}); vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("take with %s: %v", target, err)
		}
	}
	for target, says := range map[string]string{"priority=10": "0 to 9", "delay=x": "such as 30s", "dedup=" + strings.Repeat("x", 129): "128 bytes"} {
		if _, err := s.apply(vfs.Op{Verb: vfs.Write, Path: "/q/enqueue", Target: target}); vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("enqueue with %s: %v", target, err)
		}
	}
	s.mustWrite("/q/nack", `{"lease":"`+l+`","reason":`+fmt.Sprintf("%q", strings.Repeat("€", 1000))+`}`)
}

func TestReasonsAreCut(t *testing.T) {
	for text, want := range map[string]int{"short": 5, strings.Repeat("x", 5000): reasonMost, strings.Repeat("€", 5000): reasonMost / 3 * 3, "a\xffb": 5} {
		if got := cut(text); len(got) != want || !strings.HasPrefix(text, "a") && !strings.HasPrefix(text, got) {
			t.Errorf("%.10q became %d bytes", text, len(got))
		}
	}
}

func TestRemovalOfMessages(t *testing.T) {
	s := newState(t)
	s.mustWrite("/q/enqueue", "a")
	s.mustWrite("/q/ctl", "max_attempts=1")
	for range 3 {
		s.enqueue("/q", "x")
	}
	for range 3 {
		s.mustWrite("/q/nack", s.take("/q", time.Minute).Lease)
	}
	s.take("/q", time.Minute)
	dead, lent := s.list("/q/dead"), s.list("/q/inflight")
	for _, c := range []struct {
		verb vfs.Verb
		path vfs.Path
		want vfs.Kind
	}{
		{vfs.Remove, "/q/dead", vfs.Permission},
		{vfs.RemoveAll, "/q/inflight", vfs.Permission},
		{vfs.RemoveAll, "/q/delayed", vfs.Permission},
		{vfs.Remove, "/q/inflight/" + vfs.Path(lent[0]), vfs.Permission},
		{vfs.Remove, "/q/dead/no", vfs.NotFound},
		{vfs.Remove, "/q/dead/" + vfs.Path(dead[0]), 0},
		{vfs.Remove, "/q/dead/" + vfs.Path(dead[0]), vfs.NotFound},
		{vfs.Remove, "/q", vfs.NotEmpty},
		{vfs.Create, "/q/dead", vfs.Exists},
		{vfs.Create, "/q/dead/new", vfs.Permission},
		{vfs.Touch, "/q/dead/" + vfs.Path(dead[1]), vfs.Permission},
		{vfs.Mkdir, "/q/dead", vfs.Permission},
		{vfs.RemoveAll, "/q/dead", 0},
	} {
		if _, err := s.apply(vfs.Op{Verb: c.verb, Path: c.path}); vfs.KindOf(err) != c.want {
			t.Errorf("%v %s: %v", c.verb, c.path, err)
		}
	}
	if names := s.list("/q/dead"); len(names) != 0 {
		t.Errorf("dead: %v", names)
	}
	if _, err := s.fs.List(t.Context(), s.View(), "/q/inflight/"+vfs.Path(lent[0]), "", 0); vfs.KindOf(err) != vfs.NotDirectory {
		t.Errorf("list of a message: %v", err)
	}
	s.pass(0)
	s.mustWrite("/q/ack", lent[0])
	s.must(vfs.Op{Verb: vfs.Remove, Path: "/q"})
}
