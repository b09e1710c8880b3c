package main

import (
	"context"
	"errors"
	"io"

	"github.com/propolis-im/propolis/examples/server/internal/config"
	"github.com/propolis-im/propolis/examples/server/internal/control"
)

var errNotAssembled = errors.New("not assembled")

// run runs the server until ctx is done, and returns nil after a clean
// shutdown. Log and the line that says ready go to stderr.
func run(ctx context.Context, cfg *config.Config, stderr io.Writer) error {
	log := newLogger(stderr, cfg.LogLevel)
	if err := cfg.Unavailable(); err != nil {
		return err
	}
	for _, warning := range cfg.Warnings() {
		log.WarnContext(ctx, warning)
	}
	return errNotAssembled
}

// openAccounts opens the store of a server that does not run, for the command
// user.
func openAccounts(context.Context, *config.Config) (control.Accounts, io.Closer, error) {
	return nil, nil, errNotAssembled
}
