package main

import (
	"io"
	"log/slog"
)

// newLogger returns a logger of lines for people and for tools that know slog's
// text format.
func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
