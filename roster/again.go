package roster

import (
	"context"
	"log/slog"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// askAgain is how long a request may wait for its answer until it is sent again
// (core-im SUB-26).
const askAgain = 24 * time.Hour

// came sends the requests again that contacts have not answered, when a session
// becomes available: they may have been lost on the way (RFC 6121 §3.1.2). What
// the client wrote in them is not kept.
func (x *Extension) came(ctx context.Context, e *mux.Event) {
	typ := e.Stanza.Type()
	if e.Session == nil || !e.Stanza.To().IsZero() || typ != "" && typ != "unavailable" {
		return
	}
	present := x.present.Of(e.Session)
	was := *present
	*present = typ == ""
	if was || typ != "" {
		return
	}
	c, err := x.load(ctx, e)
	if err != nil {
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "subscription requests are not sent again", slog.String("account", e.Account.String()), slog.Any("err", err))
		return
	}
	for i := range c.items { // save replaces items that are there, in place
		it := c.items[i]
		if it.state()&asked == 0 || time.Since(it.Asked) < askAgain {
			continue
		}
		it.Asked = time.Now()
		x.save(e, c, &it)
		x.send(ctx, e, it.JID, subscribe)
	}
}
