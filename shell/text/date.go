package text

import (
	"bufio"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/ncruces/go-strftime"
)

var dateSyntax = syntax{flags: "d:I:Ruf:s:", usage: 1, long: map[string]string{
	"date": "d", "iso-8601": "I=date", "rfc-3339": "f", "rfc-email": "R", "utc": "u", "universal": "u",
}}

// date prints the time, or the one that -d names, in a format of strftime.
func date(_ context.Context, c *Call, out *bufio.Writer) error {
	args := c.Args[1:]
	for i, a := range args { // -I takes a value only if it follows at once
		if a == "-I" {
			args[i] = "-Idate"
		}
	}
	opts, words, err := dateSyntax.parse(args)
	if err != nil {
		return err
	}
	if has(opts, 's') {
		return fail(1, "cannot set the date")
	}
	zone, err := c.zone(has(opts, 'u'))
	if err != nil {
		return err
	}
	t := time.Now().In(zone)
	if has(opts, 'd') {
		if t, err = parseDate(last(opts, 'd', ""), t); err != nil {
			return err
		}
	}
	format, err := dateFormat(opts)
	if err != nil {
		return err
	}
	switch {
	case len(words) > 1:
		return fail(1, "extra operand '%s'", words[1])
	case len(words) == 1 && !strings.HasPrefix(words[0], "+"):
		return fail(1, "invalid date '%s': a format starts with +, as +%%Y-%%m-%%d", words[0])
	case len(words) == 1:
		format = words[0][1:]
	}
	return put(out, strftime.AppendFormat(nil, compound(format), t))
}

// zone is the time zone: UTC, that of TZ, or that of this machine.
func (c *Call) zone(utc bool) (*time.Location, error) {
	name := strings.TrimPrefix(c.Getenv("TZ"), ":")
	if utc || name == "UTC0" {
		return time.UTC, nil
	}
	if name == "" {
		return time.Local, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fail(1, "unknown time zone %s", name)
	}
	return zone, nil
}

// dateFormat is the format without one on the command line.
func dateFormat(opts []option) (string, error) {
	for _, o := range opts {
		var form string
		switch o.name {
		case 'R':
			return "%a, %d %b %Y %H:%M:%S %z", nil
		case 'I':
			form = map[string]string{
				"date": "%Y-%m-%d", "hours": "%Y-%m-%dT%H%:z", "minutes": "%Y-%m-%dT%H:%M%:z",
				"seconds": "%Y-%m-%dT%H:%M:%S%:z", "ns": "%Y-%m-%dT%H:%M:%S,%N%:z",
			}[o.value]
		case 'f':
			form = map[string]string{"date": "%Y-%m-%d", "seconds": "%Y-%m-%d %H:%M:%S%:z", "ns": "%Y-%m-%d %H:%M:%S.%N%:z"}[o.value]
		default:
			continue
		}
		if form == "" {
			return "", fail(1, "invalid argument '%s': use date, seconds or ns", o.value)
		}
		return form, nil
	}
	return "%a %b %e %H:%M:%S %Z %Y", nil
}

// compound writes out directives that stand for several, as in the C locale.
func compound(format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch format[i] {
		case 'c':
			b.WriteString("%a %b %e %H:%M:%S %Y")
		case 'D', 'x':
			b.WriteString("%m/%d/%y")
		case 'r':
			b.WriteString("%I:%M:%S %p")
		case 'X':
			b.WriteString("%H:%M:%S")
		default:
			b.WriteString(format[i-1 : i+1])
		}
	}
	return b.String()
}

// parseDate reads a date: "@SECONDS", one in the form of ISO 8601, "now", "today",
// "yesterday", "tomorrow", and behind those "+2 days", "3 hours ago".
func parseDate(s string, now time.Time) (time.Time, error) {
	bad := fail(1, "invalid date '%s': use @SECONDS, 2026-11-22, 2026-11-22 10:00:00, or now, yesterday, 3 days ago", s)
	if seconds, ok := strings.CutPrefix(s, "@"); ok {
		x, err := strconv.ParseFloat(seconds, 64)
		if err != nil {
			return now, bad
		}
		return time.Unix(0, int64(x*1e9)).In(now.Location()), nil
	}
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02",
		"20060102", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 MST", time.RFC1123Z, time.RFC1123, time.UnixDate,
	} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t.In(now.Location()), nil
		}
	}
	t, ok := relative(strings.Fields(s), now)
	if !ok {
		return now, bad
	}
	return t, nil
}

// relative reads "yesterday", "2 days ago", "+1 week".
func relative(words []string, t time.Time) (time.Time, bool) {
	days := map[string]int{"now": 0, "today": 0, "tomorrow": 1, "yesterday": -1}
	for i := 0; i < len(words); i++ {
		if n, ok := days[words[i]]; ok {
			t = t.AddDate(0, 0, n)
			continue
		}
		n, err := strconv.Atoi(words[i])
		if err != nil || i+1 == len(words) {
			return t, false
		}
		i++
		unit := strings.TrimSuffix(words[i], "s")
		if i+1 < len(words) && words[i+1] == "ago" {
			n, i = -n, i+1
		}
		switch spans := map[string]time.Duration{"sec": time.Second, "second": time.Second, "min": time.Minute, "minute": time.Minute, "hour": time.Hour}; {
		case spans[unit] > 0:
			t = t.Add(time.Duration(n) * spans[unit])
		case unit == "day":
			t = t.AddDate(0, 0, n)
		case unit == "week":
			t = t.AddDate(0, 0, 7*n)
		case unit == "month":
			t = t.AddDate(0, n, 0)
		case unit == "year":
			t = t.AddDate(n, 0, 0)
		default:
			return t, false
		}
	}
	return t, len(words) > 0
}
