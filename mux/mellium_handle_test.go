package mux_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// A single handler in mellium's own mux.
func TestHandle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		toy := func(typ stanza.IQType, local string, f func(context.Context, *mux.Stanza) (xmlstream.Marshaler, error)) xmppmux.Option {
			return xmppmux.IQFunc(typ, name(nsToy, local), mux.Handle(f))
		}
		w, s := wired(t, botFull, "example.net", false)
		w.start()
		done := make(chan error, 1)
		go func() {
			done <- s.Serve(xmppmux.New(stanza.NSClient,
				toy(stanza.GetIQ, "echo", func(_ context.Context, s *mux.Stanza) (xmlstream.Marshaler, error) {
					if s.Kind() != mux.IQ || s.ID() != "1" || s.From() != addr(julietFull) || s.To() != addr(botFull) || len(s.Children()) != 1 {
						t.Errorf("got %s", s.Append(nil, ""))
					}
					return s.Children()[0], nil
				}),
				toy(stanza.SetIQ, "empty", func(context.Context, *mux.Stanza) (xmlstream.Marshaler, error) { return nil, nil }),
				toy(stanza.GetIQ, "refused", func(context.Context, *mux.Stanza) (xmlstream.Marshaler, error) { return nil, unavailable }),
				toy(stanza.GetIQ, "fails", func(context.Context, *mux.Stanza) (xmlstream.Marshaler, error) { return nil, errTest }),
				toy(stanza.GetIQ, "bad", func(context.Context, *mux.Stanza) (xmlstream.Marshaler, error) { return mux.Raw("<a>"), nil })))
		}()
		ask := func(typ, id, payload string) {
			w.send("<iq type='" + typ + "' id='" + id + "' from='" + julietFull + "' to='" + botFull + "'>" + payload + "</iq>")
		}
		result := func(id, payload string) string {
			return "<iq type='result' id='" + id + "' from='" + botFull + "' to='" + julietFull + "'>" + payload + "</iq>"
		}
		in := "<echo xmlns='" + nsToy + "' a='&lt;'>x<p:y xmlns:p='urn:p' p:z='p:q'><body xmlns='jabber:client'/></p:y><n xmlns=''/></echo>"
		ask("get", "1", in)
		w.expect(result("1", in))
		ask("set", "2", "<empty xmlns='"+nsToy+"'/>")
		w.expect(result("2", ""))
		ask("get", "3", "<refused xmlns='"+nsToy+"'/>")
		w.expect(refused("iq", botFull, julietFull, "3", "cancel", "service-unavailable"))
		for _, local := range []string{"fails", "bad"} {
			ask("get", "4", "<"+local+" xmlns='"+nsToy+"'/>")
			w.expect(refused("iq", botFull, julietFull, "4", "wait", "internal-server-error"))
		}
		w.send("<iq type='get' id='5' from='" + julietFull + "'><empty xmlns='" + nsToy + "'/></iq><iq type='result' id='1' from='" + julietFull + "'/>")
		if got := w.arrived(); len(got) != 1 { // mellium's answer to what is not registered
			t.Errorf("got %q", got)
		}
		w.send(closeTag)
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Error("Serve goes on")
		}
	})
}
