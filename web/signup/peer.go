package signup

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// peer is who asks.
type peer struct {
	source netip.Addr // invalid if it is not known
	secure bool       // nobody else reads what goes over the network
	local  bool       // it does not go over a network
}

// maxHops bounds the addresses in X-Forwarded-For.
const maxHops = 32

// peer finds out who asks. Only proxies that are trusted are believed (auth-register
// AB-7).
func (h *Handler) peer(r *http.Request) peer {
	p := peer{secure: r.TLS != nil}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return p
	}
	p.source = at.Addr().Unmap().WithZone("")
	forwarded := r.Header.Values("X-Forwarded-For")
	if !h.trusts(p.source) {
		p.local = p.source.IsLoopback()
		if p.local && proxied(r) {
			// A proxy on this machine that nobody has told of: all the world would
			// share its address.
			h.hint.give(r.Context(), h.opt.Logger)
			p.source, p.local = netip.Addr{}, false
		}
		return p
	}
	p.secure = p.secure || overTLS(r.Header.Values("X-Forwarded-Proto"))
	p.source = h.original(strings.Join(forwarded, ","))
	return p
}

// overTLS reports whether each hop that is told of was https: a proxy may have left what
// somebody made up in front of its own.
func overTLS(protos []string) bool {
	for _, p := range strings.Split(strings.Join(protos, ","), ",") {
		if strings.TrimSpace(p) != "https" {
			return false
		}
	}
	return true // Split returns at least one
}

// proxied reports whether a request has come through a proxy, as far as that says so.
func proxied(r *http.Request) bool {
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Server"} {
		if len(r.Header.Values(name)) > 0 {
			return true
		}
	}
	return false
}

// trusts reports whether an address is that of a proxy.
func (h *Handler) trusts(a netip.Addr) bool {
	for _, n := range h.opt.Proxies {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// original is the last address of a list that is no proxy's; the first if all are. Each
// proxy adds who it was asked by at the end, so what is before that could be made up.
func (h *Handler) original(list string) netip.Addr {
	hops := strings.Split(list, ",")
	if len(hops) > maxHops {
		return netip.Addr{}
	}
	var a netip.Addr
	for i := len(hops) - 1; i >= 0; i-- {
		var ok bool
		if a, ok = parseHop(strings.TrimSpace(hops[i])); !ok {
			return netip.Addr{}
		}
		if !h.trusts(a) {
			break
		}
	}
	return a
}

// parseHop reads an address, with or without a port.
func parseHop(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	return a.Unmap().WithZone(""), true
}

// hint tells once of a proxy that is not trusted.
type hint struct{ once sync.Once }

func (h *hint) give(ctx context.Context, log *slog.Logger) {
	h.once.Do(func() {
		log.LogAttrs(ctx, slog.LevelWarn, "a proxy on this machine is not among those that are trusted, so nobody can register through it")
	})
}
