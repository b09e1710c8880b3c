package negotiate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

// scanned is the error for a peer's bytes.
func scanned(in string, l xmlscan.Limits) error {
	var s xmlscan.Scanner
	s.Resume(xmlscan.ClientContext(), l)
	_, _, err := s.Next([]byte(in))
	return err
}

// TestStreamError: core-im ER-4, ER-9, ER-10, LIM-1.
func TestStreamError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		want string // empty: none
	}{
		{"malformed", scanned("<a></b>", xmlscan.Limits{}), "<not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"},
		{"restricted", scanned("<!-- -->", xmlscan.Limits{}), "<restricted-xml xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"},
		{"deep", scanned("<a><b>", xmlscan.Limits{Depth: 1}), "<policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"},
		{"big", scanned("<a>0123456789", xmlscan.Limits{Bytes: 10}), "<policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><stanza-too-big xmlns='urn:xmpp:errors'/>"},
		{"big, wrapped", fmt.Errorf("x: %w", scanned("<a>0123456789", xmlscan.Limits{Bytes: 10})), "<policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><stanza-too-big xmlns='urn:xmpp:errors'/>"},
		{"stream error", fmt.Errorf("x: %w", stream.HostGone), "<host-gone xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"},
		{"silence", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "<connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"},
		{"time is up", context.DeadlineExceeded, "<connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"},
		{"closed", io.EOF, ""},
		{"broken", io.ErrUnexpectedEOF, ""},
		{"given up", context.Canceled, ""},
		{"other", errors.New("x"), ""},
		{"none", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			se, ok := negotiate.StreamError(tt.err)
			if ok != (tt.want != "") {
				t.Fatalf("%v, %t", se, ok)
			}
			if !ok {
				return
			}
			for range 2 { // it can be written again
				got := string(negotiate.AppendStreamError([]byte("x"), se))
				if want := "x<stream:error>" + tt.want + "</stream:error>"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		})
	}
}

func TestAppendStreamError(t *testing.T) {
	t.Parallel()
	text := stream.Error{Err: "see-other-host", Content: "[::1]:5222"}
	text.Text = append(text.Text, struct{ Lang, Value string }{"en", "a < b"})
	app := stream.UndefinedCondition.ApplicationError(mux.Raw("<x xmlns='urn:x' h='1'/>").TokenReader())
	for _, tt := range []struct {
		name string
		err  stream.Error
		want string
	}{
		{"text", text, "<see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>[::1]:5222</see-other-host><text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>a &lt; b</text>"},
		{"application", app, "<undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><x xmlns='urn:x' h='1'/>"},
		{"empty", stream.Error{}, "<undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"},
		{"illegal name", stream.Error{Err: "x><y"}, "<undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"},
		{"illegal payload", stream.Conflict.ApplicationError(xmlstream.Token(nil)), "<conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := string(negotiate.AppendStreamError(nil, tt.err))
			got = strings.TrimSuffix(strings.TrimPrefix(got, "<stream:error>"), "</stream:error>")
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
