package negotiate_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

// TestFeed: something long, such as an archive, arrives as a whole at a client that
// reads slowly, over both kinds of streams.
func TestFeed(t *testing.T) {
	t.Parallel()
	for _, mellium := range []bool{false, true} {
		t.Run(fmt.Sprint("mellium ", mellium), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { feed(t, mellium) })
		})
	}
}

func feed(t *testing.T, mellium bool) {
	site := newSite(t, trusted())
	var st *mux.Stream
	p := &peer{t: t, site: site}
	if mellium {
		ours, theirs := net.Pipe()
		p.c, p.done = ours, make(chan struct{})
		go func() {
			defer close(p.done)
			s, err := xmpp.ReceiveSession(context.Background(), theirs, 0, site.n.XMPP(&site.conn, func(bound *mux.Stream, _ *negotiate.ConnTransport) { st = bound }))
			if err != nil {
				t.Error(err)
				return
			}
			p.err = mux.Serve(context.Background(), st, s)
			_ = s.Conn().Close() // the peer is gone
		}()
		go p.read(ours)
	} else {
		p = site.connect()
		st = p.st
	}
	p.send(expand("{open}{romeo}{open}<iq type='set' id='1'><bind{ns}/></iq>"))
	p.take()
	const pages, text = 40, 50_000
	page := 0
	st.Session().Feed(func(_ context.Context, emit func(mux.Item)) (bool, error) {
		page++
		s, err := mux.Parse([]byte("<message from='example.net' id='p" + fmt.Sprint(page) + "'><body>" + strings.Repeat("x", text) + "</body></message>"))
		if err != nil {
			return false, err
		}
		emit(mux.Item{Stanza: s})
		return page < pages, nil
	})
	got := p.take()
	if n := strings.Count(got, "</body></message>"); n != pages || len(got) < pages*text {
		t.Errorf("got %d pages of %d, asked for %d", n, pages, page)
	}
	p.stop()
}
