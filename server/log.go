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

func newLogger(w io.Writer, l slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}
