package negotiate

import (
	"log/slog"
	"strings"
	"time"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// claimed is whose login the exchange is to be, as far as it tells.
func (r *run) claimed() mux.Address {
	c, ok := r.auth.ex.(Claimer)
	if !ok {
		return mux.Address{}
	}
	a, err := r.owner(c.Claimed())
	if err != nil {
		return mux.Address{}
	}
	return a
}

// penalty lets the peer wait for the answer to a failed attempt. With an error it must
// not get one.
func (r *run) penalty(f AuthFailure) error {
	if !xmlwrite.ValidText(f.Mechanism) {
		f.Mechanism = strings.ToValidUTF8(f.Mechanism, "?") // was cut inside a character
	}
	r.n.log.LogAttrs(r.ctx, slog.LevelDebug, "authentication failed", slog.String("mechanism", f.Mechanism),
		slog.String("condition", f.Condition))
	if r.n.opt.OnFailure == nil {
		return nil
	}
	return r.hold(r.n.opt.OnFailure(r.ctx, r.st, f))
}

// holdSuccess does the same to a peer that has proved who it is: if only failures had
// to wait, who guesses would know them by that at once (auth-register AB-2).
func (r *run) holdSuccess(account mux.Address) error {
	if r.n.opt.OnSuccess == nil || account == r.auth.held {
		return nil
	}
	r.auth.held = account
	return r.hold(r.n.opt.OnSuccess(r.ctx, r.st, account))
}

// hold waits. If the time for negotiation ends before, nothing may be said any more.
func (r *run) hold(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	if err := r.t.Flush(); err != nil {
		return err
	}
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}
