package server

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

func level(s string) (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.TrimSpace(s))); err != nil {
		return l, fmt.Errorf("server.log_level is %q; it must be debug, info, warn or error", s)
	}
	return l, nil
}

// newLogger returns a log of lines: key=value, or JSON objects in which a time
// that something took is a number of seconds.
func newLogger(w io.Writer, l slog.Leveler, format string) *slog.Logger {
	o := &slog.HandlerOptions{Level: l}
	if format == "json" {
		o.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
			if a.Value.Kind() == slog.KindDuration {
				a.Value = slog.Float64Value(a.Value.Duration().Seconds())
			}
			return a
		}
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
