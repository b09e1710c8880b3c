package mux_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestEndLogins: a stream that says whose it is after the logins of that account
// were ended, and had begun its own before, ends with the same error.
func TestEndLogins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		end := func(account string) {
			t.Helper()
			h.AddAccount(account)
			if err := h.Mux().Do(t.Context(), addr(account), func(_ context.Context, e *mux.Event) { e.EndLogins(stream.PolicyViolation) }); err != nil {
				t.Fatal(err)
			}
		}
		const romeo, juliet = "romeo@example.net", "juliet@example.net"
		h.AddAccount(romeo, juliet)
		for name, tt := range map[string]struct {
			meanwhile func(st *mux.Stream)
			ended     bool
		}{
			"nothing":           {func(*mux.Stream) {}, false},
			"own":               {func(*mux.Stream) { end(romeo) }, true},
			"another's":         {func(*mux.Stream) { end(juliet) }, false},
			"before it began":   {func(st *mux.Stream) { end(romeo); st.BeginLogin() }, false},
			"then another's":    {func(*mux.Stream) { end(romeo); end(juliet) }, true},
			"many others'":      {func(*mux.Stream) { crowd(end, 1024) }, false},
			"too many others'":  {func(*mux.Stream) { crowd(end, 1025) }, true},
			"of many before it": {func(st *mux.Stream) { crowd(end, 1500); st.BeginLogin() }, false},
			"long ago":          {func(*mux.Stream) { end(romeo); crowd(end, 1000) }, true},
			"it has a session": {func(st *mux.Stream) {
				st.SetAccount(addr(romeo))
				if _, err := st.Bind(t.Context(), nil); err != nil {
					t.Error(err)
				}
				end(romeo)
			}, false},
			"it has authenticated": {func(st *mux.Stream) { st.SetAccount(addr(romeo)); end(romeo) }, true},
		} {
			c := new(recConn)
			st := h.Mux().NewStream(c, mux.Client)
			st.BeginLogin()
			tt.meanwhile(st)
			if st.Session() == nil {
				st.SetAccount(addr(romeo))
			}
			c.mu.Lock()
			ended := c.closed
			c.mu.Unlock()
			if ended != tt.ended {
				t.Errorf("%s: ended %v", name, ended)
			}
			if ended {
				if _, err := st.Bind(t.Context(), nil); !errors.Is(err, mux.ErrClosed) {
					t.Errorf("%s: bound, %v", name, err)
				}
			}
			st.Gone(true)
		}
	})
}

// TestEndLoginsOfTaker: a session changes the password; who is about to take it over
// with the old one does not get it, and it goes on.
func TestEndLoginsOfTaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		change := ext{"change", func(r *mux.Registry) {
			r.IQ(mux.AtSelf, stanza.SetIQ, xml.Name{Space: "urn:test", Local: "change"}, func(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
				<-proceed
				e.EndSessions(ctx, e.Session)
				return nil, nil
			}, mux.Blocks())
		}}
		h := muxtest.New(t, nil, &smacks{keep: time.Hour}, change)
		juliet := enabled(t, h)
		juliet.Write("<iq type='set' id='1'><change xmlns='urn:test'/></iq>")
		h.Settle()
		taker := h.Dial(t, "juliet@example.net")
		taker.Write("<resume xmlns='" + nsSM + "' previd='" + juliet.Session.ID().String() + "' h='0'/>")
		h.Settle()
		taker.ExpectNone()
		close(proceed)
		h.Settle()
		taker.ExpectClosed("reset")
		juliet.Expect("<iq type='result' id='1' from='*' to='*'/>")
		juliet.Send(ask)
		juliet.Expect("<a xmlns='" + nsSM + "' h='2'/>")
	})
}

// crowd ends the logins of n accounts, none of which is anybody's here.
func crowd(end func(string), n int) {
	for i := range n {
		end(fmt.Sprintf("user%d@example.net", i))
	}
}
