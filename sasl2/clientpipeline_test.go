package sasl2_test

import (
	"context"
	"encoding/xml"
	"io"
	"reflect"
	"strings"
	"testing"

	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/sasl2"
)

// cached is what {all} was, with a version.
func cached(version string) *sasl2.Offer {
	return &sasl2.Offer{Mechanisms: []string{"SCRAM-OLD"}, Inline: []string{sasl2.NSBind, sasl2.NSFast}, Tokens: []string{"HT-SHA-256-NONE"}, Scheme: "opaque", Version: version}
}

// TestClientPipelining: header and login in one flight, by what was listed before;
// what a server that lists something else now says to it; never a password
// (auth-register IA-3, IA-4, scenario 37).
func TestClientPipelining(t *testing.T) {
	t.Parallel()
	pipelines := func(o *sasl2.ClientOptions) {
		withTokens(o, "one")
		o.Pipeline, o.State.Offer = true, cached("v1")
	}
	version := func(use, v string) string {
		return strings.Replace(use, "</authenticate>", "<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='"+v+"'/></authenticate>", 1)
	}
	flight := "C: {from}" + version(useHT("one"), "v1")
	ok := "<additional-data>" + responseHT("one") + "</additional-data>" + inAll + "</success><stream:features/>"
	mismatch := "<failure{2}><aborted{1}/><config-version-mismatch xmlns='urn:xmpp:iap:0'/></failure>"
	var listed []string
	scramCached := func(o *sasl2.ClientOptions) {
		pipelines(o)
		o.State.Tokens, o.Tokens = nil, []string{}
		o.Mechanism = func(_ context.Context, a sasl2.Attempt) (sasl2.Run, error) {
			if a.Cached {
				return &listRun{testRun{a.Offer.Mechanisms[0]}, &listed}, nil
			}
			return testMechanism(context.Background(), a)
		}
	}
	offerIs := func(version string) func(*testing.T, *fakeServer) {
		return func(t *testing.T, f *fakeServer) {
			if o := f.last().Offer; (o == nil) != (version == "") || o != nil && o.Version != version {
				t.Errorf("offer %+v", o)
			}
		}
	}
	playClient(t, []clientScript{
		{name: "kept", with: func(o *sasl2.ClientOptions) { o.Pipeline = true },
			text: "S: {hello}{all}\nC: {from}<authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent><bind{bind2}></bind></authenticate>\n" + whoTest + "S: {ok}{proof}" + inAll + "</success><stream:features/>",
			check: func(t *testing.T, f *fakeServer) {
				want := &sasl2.Offer{Mechanisms: []string{"SCRAM-TEST"}, Inline: []string{"urn:xmpp:sm:3", sasl2.NSBind, sasl2.NSFast}, Bind: []string{"urn:xmpp:carbons:2", "urn:xmpp:sm:3"},
					Tokens: []string{"HT-SHA-256-EXPR", "HT-SHA-256-NONE"}, Upgrades: []string{"UPGR-SCRAM-SHA-512", "UPGR-SCRAM-SHA-256"}, Scheme: "opaque", Version: "v1"}
				if got := f.last().Offer; !reflect.DeepEqual(got, want) {
					t.Errorf("offer %+v", got)
				}
			}},
		{name: "off", with: func(o *sasl2.ClientOptions) { withTokens(o, "one") },
			text: "S: {hello}{all}\nC: {from}" + useHT("one") + "S: {ok}" + ok, check: offerIs("")},
		{name: "token", with: pipelines, text: flight + "S: {hello}{all}{ok}" + ok, check: offerIs("v1")},
		{name: "all in pieces", with: pipelines, text: flight + "S: {hello}\nS: {all}\nS: {ok}\nS: " + ok, check: offerIs("v1")},
		{name: "another version", with: func(o *sasl2.ClientOptions) { pipelines(o); o.State.Offer.Version = "v0" },
			text: "C: {from}" + version(useHT("one"), "v0") + "S: {hello}{all}" + mismatch + "\nC: " + strings.Replace(useHT("one"), "count='5'", "count='6'", 1) + "S: {ok}" + ok,
			check: func(t *testing.T, f *fakeServer) {
				offerIs("v1")(t, f)
				if got := secrets(f.last()); len(got) != 1 {
					t.Errorf("tokens %q", got)
				}
			}},
		{name: "again and again", with: pipelines,
			text: flight + "S: {hello}{all}" + mismatch + "\nC: " + strings.Replace(useHT("one"), "count='5'", "count='6'", 1) + "S: " + mismatch, want: errAny},
		{name: "token refused", with: pipelines, text: flight + "S: {hello}{all}{fail not-authorized}\n" +
			"C: <authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent><bind{bind2}></bind><request-token{fast} mechanism='HT-SHA-256-NONE'/></authenticate>\n" + disabled,
			want: sasl2.ErrDisabled},
		{name: "no answer", with: pipelines, text: flight + "S: {hello}{all}</stream:stream>", want: errAny, check: offerIs("")},
		{name: "not even a header", with: pipelines, text: flight + "S: </stream:stream>", want: errAny, check: offerIs("")},
		{name: "profile gone", with: pipelines, text: flight + "S: {hello}{old}", want: errAny, check: offerIs("")},
		{name: "SCRAM", with: scramCached, text: "C: {from}<authenticate{2} mechanism='SCRAM-OLD'>{first}<user-agent></user-agent><bind{bind2}></bind><config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='v1'/></authenticate>\n" +
			"S: {hello}{all}<challenge{2}>{64 who?}</challenge>\nC: <response{2}>{64 secret}</response>\nS: {ok}{proof}" + inAll + "</success><stream:features/>",
			check: func(t *testing.T, f *fakeServer) {
				// What is signed is compared with what is listed now.
				if want := []string{"SCRAM-TEST"}; !reflect.DeepEqual(listed, want) {
					t.Errorf("relisted %q", listed)
				}
			}},
		{name: "PLAIN", with: func(o *sasl2.ClientOptions) {
			scramCached(o)
			o.State.Offer.Mechanisms = []string{"PLAIN"}
		}, text: "C: {from}\nS: {hello}{all}\nC: <authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent><bind{bind2}></bind></authenticate>\n" + disabled, want: sasl2.ErrDisabled},
		{name: "not for it", with: func(o *sasl2.ClientOptions) {
			scramCached(o)
			o.Mechanism = testMechanism
			o.State.Offer.Mechanisms[0] = "SCRAM-TEST"
		},
			text: "C: {from}\nS: {hello}{all}\nC: <authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent><bind{bind2}></bind></authenticate>\n" + disabled, want: sasl2.ErrDisabled},
	})
}

// TestClientPipeliningOldProfile: a flight to a server that has the older profile
// only is not followed by a login with that.
func TestClientPipeliningOldProfile(t *testing.T) {
	t.Parallel()
	playClient(t, []clientScript{{name: "both", features: featuresOld(), with: func(o *sasl2.ClientOptions) {
		withTokens(o, "one")
		o.Pipeline, o.State.Offer = true, cached("v1")
	}, text: "S: {hello}{old}", want: sasl2.ErrLostSASL2}})
}

// TestClientPipeliningOptional: what was sent is answered before any feature of the
// caller that comes before a login has its turn.
func TestClientPipeliningOptional(t *testing.T) {
	t.Parallel()
	optional := xmpp.StreamFeature{
		Name: xml.Name{Space: "urn:example:optional", Local: "optional"}, Necessary: xmpp.Secure, Prohibited: xmpp.Authn,
		Parse: func(_ context.Context, d *xml.Decoder, _ *xml.StartElement) (bool, any, error) {
			return false, nil, d.Skip()
		},
		Negotiate: func(_ context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
			_, err := io.WriteString(s.Conn(), "<optional/>")
			return 0, nil, err
		},
	}
	list := strings.Replace(shortServer.Replace("{all}"), "<stream:features>", "<stream:features><optional xmlns='urn:example:optional'/>", 1)
	flight := strings.Replace(useHT("one"), "</authenticate>", "<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='v1'/></authenticate>", 1)
	with := func(o *sasl2.ClientOptions) {
		withTokens(o, "one")
		o.Pipeline, o.State.Offer = true, cached("v1")
	}
	playClient(t, []clientScript{
		{name: "bound", with: with, features: []xmpp.StreamFeature{optional},
			text: "C: {from}" + flight + "S: {hello}" + list + "{ok}<additional-data>" + responseHT("one") + "</additional-data>" + inAll + "</success><stream:features/>"},
		{name: "resumed", with: func(o *sasl2.ClientOptions) {
			with(o)
			o.State.Offer.Inline, o.Resume = []string{"urn:xmpp:sm:3", sasl2.NSFast}, expand("<resume{sm}/>")
		}, features: []xmpp.StreamFeature{optional},
			text: "C: {from}" + strings.Replace(flight, "<bind{bind2}></bind>", "<resume{sm}/>", 1) + "S: {hello}" + list +
				"{ok}<additional-data>" + responseHT("one") + "</additional-data>{is}<resumed{sm}/></success>"},
		{name: "without a flight", with: func(o *sasl2.ClientOptions) { withTokens(o, "one") }, features: []xmpp.StreamFeature{optional},
			text: "S: {hello}" + list + "\nC: {from}<optional/>" + useHT("one") + "S: {ok}<additional-data>" + responseHT("one") + "</additional-data>" + inAll + "</success><stream:features/>"},
		{name: "stream error in place of features", with: with,
			text: "C: {from}" + flight + "S: {hello}" + list + "{ok}<additional-data>" + responseHT("one") + "</additional-data>" + inAll +
				"</success><stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>", want: stream.Conflict},
	})
}
