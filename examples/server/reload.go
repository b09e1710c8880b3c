package main

import (
	"context"
	"log/slog"
	"os"
	"reflect"

	"github.com/propolis-im/propolis/examples/server/internal/config"
	"github.com/propolis-im/propolis/examples/server/internal/selfsigned"
	"github.com/propolis-im/propolis/server"
)

// reloader reads again, while the server runs, what may change meanwhile: the
// certificate and which domains are served (core-im GS-4).
type reloader struct {
	load func() (*config.Config, error)
	cfg  *config.Config // in force
	cert *selfsigned.Certificate
	srv  *server.Server
	log  *slog.Logger
}

// on reloads at every signal until ctx is done.
func (r *reloader) on(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			r.reload(ctx)
		}
	}
}

func (r *reloader) reload(ctx context.Context) {
	cfg, err := r.load()
	if err != nil {
		r.log.LogAttrs(ctx, slog.LevelError, "keeping the old settings", slog.Any("err", err))
		cfg = r.cfg
	}
	now := *cfg
	now.Domains = r.cfg.Domains
	if !reflect.DeepEqual(&now, r.cfg) {
		r.log.LogAttrs(ctx, slog.LevelWarn, "settings other than -domain need a new start of the server to take effect")
	}
	now = *r.cfg
	now.Domains = cfg.Domains
	// The certificate goes first: clients of a new domain come at once.
	if err := r.certificate(&now); err != nil {
		r.log.LogAttrs(ctx, slog.LevelError, "keeping the old certificate", slog.Any("err", err))
	} else {
		r.log.LogAttrs(ctx, slog.LevelInfo, "certificate read again")
		warnEndPoint(ctx, r.cert, r.log)
	}
	if err := r.srv.SetDomains(now.Domains); err != nil {
		r.log.LogAttrs(ctx, slog.LevelError, "keeping the old domains", slog.Any("err", err))
		return
	}
	r.cfg = &now
}

// certificate reads the certificate again, and before that makes one of the server's
// own anew if that lacks names.
func (r *reloader) certificate(cfg *config.Config) error {
	if _, _, err := certificateFiles(cfg); err != nil {
		return err
	}
	return r.cert.Reload()
}
