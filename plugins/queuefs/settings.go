package queuefs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// Bounds of times that clients ask for.
const (
	leaseLeast  = 100 * time.Millisecond
	leaseMost   = 12 * time.Hour
	delayMost   = 7 * 24 * time.Hour
	dedupMost   = 24 * time.Hour
	attemptMost = 1000
)

// settings are what the file ctl of a queue holds.
type settings struct {
	lease       time.Duration
	attempts    uint64 // after which a message is dead
	dedup       time.Duration
	priority    byte          // of a message that names none
	delay       time.Duration // of a message that names none
	maxMessages uint64        // 0: any number
	maxBytes    uint64        // 0: any number
	at          stamp         // when they were set
}

func standard() settings {
	return settings{lease: time.Minute, attempts: 5, dedup: 5 * time.Minute, priority: middle}
}

func (s settings) encode() []byte {
	b := appendUints([]byte{format}, uint64(s.lease), s.attempts, uint64(s.dedup), uint64(s.priority),
		uint64(s.delay), s.maxMessages, s.maxBytes)
	return appendStamps(b, s.at)
}

func decodeSettings(b []byte) settings {
	r := open(b)
	return settings{time.Duration(r.uint()), r.uint(), time.Duration(r.uint()), byte(r.uint()),
		time.Duration(r.uint()), r.uint(), r.uint(), r.stamp()}
}

// getSettings returns the settings of a queue.
func getSettings(v vfs.View, id uint64, t *tally) settings {
	if !t.set {
		s := standard()
		return s
	}
	b, ok := v.Get(key(rowSettings, id))
	if !ok {
		panic(corrupt())
	}
	return decodeSettings(b)
}

// knob is one setting as text.
type knob struct {
	name string
	show func(settings) string
	take func(s *settings, text string) error
}

// knobs are the lines of ctl, in order.
var knobs = [...]knob{
	{"lease", func(s settings) string { return showTime(s.lease) }, func(s *settings, text string) (err error) {
		s.lease, err = duration("lease", text, leaseLeast, leaseMost)
		return err
	}},
	{"max_attempts", func(s settings) string { return fmt.Sprint(s.attempts) }, func(s *settings, text string) (err error) {
		s.attempts, err = number("max_attempts", text, 1, attemptMost)
		return err
	}},
	{"dedup", func(s settings) string { return showTime(s.dedup) }, func(s *settings, text string) (err error) {
		s.dedup, err = duration("dedup", text, 0, dedupMost)
		return err
	}},
	{"priority", func(s settings) string { return fmt.Sprint(s.priority) }, func(s *settings, text string) (err error) {
		s.priority, err = parsePriority(text)
		return err
	}},
	{"delay", func(s settings) string { return showTime(s.delay) }, func(s *settings, text string) (err error) {
		s.delay, err = duration("delay", text, 0, delayMost)
		return err
	}},
	{"max_messages", func(s settings) string { return fmt.Sprint(s.maxMessages) }, func(s *settings, text string) (err error) {
		s.maxMessages, err = number("max_messages", text, 0, math.MaxInt64)
		return err
	}},
	{"max_bytes", func(s settings) string { return fmt.Sprint(s.maxBytes) }, func(s *settings, text string) error {
		n, err := vfs.ParseSize(text)
		if err != nil {
			return vfs.Invalid.Withf("max_bytes: %v", err)
		}
		s.maxBytes = uint64(n)
		return nil
	}},
}

// show returns the settings as ctl reads.
func (s settings) show() string {
	var b strings.Builder
	for _, k := range knobs {
		b.WriteString(k.name + "=" + k.show(s) + "\n")
	}
	return b.String()
}

// setSettings changes what the words of the text name, all of it or nothing.
func setSettings(tx vfs.Tx, id uint64, op vfs.Op) (vfs.Result, error) {
	t := getTally(tx, id)
	s := getSettings(tx, id, &t)
	if err := s.read(string(op.Data)); err != nil {
		return vfs.Result{}, err
	}
	s.at = now(tx)
	tx.Put(key(rowSettings, id), s.encode())
	if !t.set {
		t.set = true
		tx.Put(key(rowTally, id), t.encode())
	}
	return vfs.Result{N: op.Size(), Version: tx.Seq()}, nil
}

// read takes in what the words of the text name.
func (s *settings) read(text string) error {
	for word := range strings.FieldsSeq(text) {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return vfs.Invalid.Withf("%.64q is not a setting such as lease=60s", word)
		}
		if err := setOne(s, name, value); err != nil {
			return err
		}
	}
	return nil
}

func setOne(s *settings, name, value string) error {
	names := make([]string, len(knobs))
	for i, k := range knobs {
		if k.name == name {
			return k.take(s, value)
		}
		names[i] = k.name
	}
	if near := vfs.Nearest(name, names); near != "" {
		return vfs.Invalid.Withf("unknown setting %.64q: did you mean %s?", name, near)
	}
	return vfs.Invalid.Withf("unknown setting %.64q: there are %s", name, strings.Join(names, ", "))
}

// duration reads a time such as 5s, or seconds.
func duration(name, text string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		var n float64
		if n, err = strconv.ParseFloat(text, 64); err == nil && math.Abs(n) < 1e9 {
			d = time.Duration(n * float64(time.Second))
		} else {
			return 0, vfs.Invalid.Withf("%s must be a time such as 30s, or seconds", name)
		}
	}
	if d < least || d > most {
		return 0, vfs.Invalid.Withf("%s must be %s to %s", name, showTime(least), showTime(most))
	}
	return d, nil
}

func number(name, text string, least, most uint64) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, vfs.Invalid.Withf("%s must be a whole number, %d to %d", name, least, most)
	}
	return n, nil
}

func parsePriority(text string) (byte, error) {
	n, err := number("priority", text, 0, topmost)
	return byte(n), err
}

// showTime writes a time in one unit where that is exact: 90s, 5m, 12h.
func showTime(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}} {
		if d%u.unit == 0 && d > u.unit {
			return fmt.Sprint(int64(d/u.unit)) + u.name
		}
	}
	if d%time.Second == 0 {
		return fmt.Sprint(int64(d/time.Second)) + "s"
	}
	return d.String()
}
