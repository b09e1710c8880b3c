package negotiate_test

import (
	"context"
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// features is an extension that has just features, and keeps sessions for a
// while if it is told so.
type features struct {
	list []mux.Feature
	keep time.Duration
}

func (features) Name() string { return "features" }

func (f features) Register(r *mux.Registry) error {
	for _, x := range f.list {
		r.Feature(x)
	}
	r.Lifecycle(mux.Lifecycle{Detached: func(*mux.Session) time.Duration { return f.keep }})
	return nil
}

type stepFunc = func(context.Context, *mux.Stream, *mux.Stanza) (mux.Outcome, error)

// nonza is a feature with the element <go xmlns='urn:x'/>.
func nonza(step stepFunc) mux.Feature {
	return mux.Feature{Name: "x", Needs: mux.Secure, Owns: []xml.Name{{Space: "urn:x", Local: "go"}}, Step: step}
}

// query is a feature that owns an IQ payload.
func query(step stepFunc) mux.Feature {
	return mux.Feature{Name: "q", Needs: mux.Secure, Forbids: mux.Authenticated, Owns: []xml.Name{{Space: "urn:q", Local: "query"}}, Step: step}
}

// always leads to the same.
func always(o mux.Outcome, err error) stepFunc {
	return func(context.Context, *mux.Stream, *mux.Stanza) (mux.Outcome, error) { return o, err }
}

func having(f ...mux.Feature) func(*setup) {
	return func(s *setup) { s.exts = []mux.Extension{features{list: f}} }
}

func lists(raw string) func(context.Context, *mux.Stream) xmlstream.Marshaler {
	return func(context.Context, *mux.Stream) xmlstream.Marshaler {
		if raw == "" {
			return nil
		}
		return mux.Raw(raw)
	}
}

var romeo = mux.MustParseAddress("romeo@example.net")

const (
	goes  = "C: <go xmlns='urn:x'/>\n"
	asksQ = "C: <iq type='get' id='1'><query xmlns='urn:q'/></iq>\n"
)

// stepped are about registered features.
var stepped = []transcript{
	{name: "offered in order by state", with: having(
		mux.Feature{Name: "a", Needs: mux.Secure, Forbids: mux.Authenticated, List: lists("<a xmlns='urn:a'/>")},
		mux.Feature{Name: "b", Needs: mux.Authenticated, List: lists("<b xmlns='urn:b'/>")},
		mux.Feature{Name: "nothing", List: lists("")},
		mux.Feature{Name: "c", List: lists("<c xmlns='urn:c'/>")},
	), text: "C: {open}\nS: {head}<stream:features>{mechanisms}<a xmlns='urn:a'/><c xmlns='urn:c'/>{limits}</stream:features>\nC: {romeo}\nS: {success}\n" +
		"C: {open}\nS: {head}<stream:features><bind{ns}><required/></bind>{session}<b xmlns='urn:b'/><c xmlns='urn:c'/>{more}</stream:features>"},
	{name: "not in clear", with: func(s *setup) {
		s.conn.Trusted = false
		having(mux.Feature{Name: "c", List: lists("<c xmlns='urn:c'/>")})(s)
	}, text: "C: {open}\nS: {head}{clear}"},
	{name: "that cannot be written", with: having(mux.Feature{Name: "a", List: func(context.Context, *mux.Stream) xmlstream.Marshaler { return illegal{} }}), text: opened},
	{name: "nonza in clear", with: func(s *setup) {
		s.conn.Trusted = false
		f := nonza(always(mux.Outcome{}, nil))
		f.Needs = 0
		having(f)(s)
	}, text: "C: {open}\nS: {head}{clear}\n" + goes + "S: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "nonza with a reply", with: having(nonza(always(mux.Outcome{Reply: mux.Raw("<gone xmlns='urn:x'/>")}, nil))), text: opened + goes + "S: <gone xmlns='urn:x'/>\n" + goes + "S: <gone xmlns='urn:x'/>"},
	{name: "nonza without", with: having(nonza(always(mux.Outcome{}, nil))), text: opened + goes + "C: {romeo}\nS: {success}"},
	{name: "nonza with a stream error", with: having(nonza(always(mux.Outcome{}, stream.ResourceConstraint))), text: opened + goes + "S: {error resource-constraint}\nEND", err: "resource-constraint"},
	{name: "nonza that fails", with: having(nonza(always(mux.Outcome{}, errors.New("no")))), text: opened + goes + "S: {error internal-server-error}\nEND", err: "internal-server-error"},
	{name: "nonza that panics", with: having(nonza(func(context.Context, *mux.Stream, *mux.Stanza) (mux.Outcome, error) { panic("no") })), text: opened + goes + "S: {error internal-server-error}\nEND", err: "internal-server-error"},
	{name: "reply that cannot be written", with: having(nonza(always(mux.Outcome{Reply: illegal{}}, nil))), text: opened + goes + "S: {error internal-server-error}\nEND", err: "internal-server-error"},
	{name: "nonza in the wrong state", with: having(mux.Feature{Name: "x", Needs: mux.Authenticated, Owns: []xml.Name{{Space: "urn:x", Local: "go"}}, Step: always(mux.Outcome{}, nil)}), text: opened + goes + "S: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "IQ", with: having(query(always(mux.Outcome{Reply: mux.Raw("<query xmlns='urn:q'><a/></query>")}, nil))), text: opened + asksQ + "S: <iq from='example.net' type='result' id='1'><query xmlns='urn:q'><a/></query></iq>"},
	{name: "IQ with an empty result", with: having(query(always(mux.Outcome{}, nil))), text: opened + asksQ + "S: <iq from='example.net' type='result' id='1'/>"},
	{name: "IQ at the domain", with: having(query(always(mux.Outcome{}, nil))), text: opened + "C: <iq type='get' to='example.net' id='1'><query xmlns='urn:q'/></iq>\nS: <iq from='example.net' type='result' id='1'/>"},
	{name: "IQ elsewhere", with: having(query(always(mux.Outcome{}, nil))), text: opened + "C: <iq type='get' to='example.org' id='1'><query xmlns='urn:q'/></iq>\nS: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "IQ at a malformed address", with: having(query(always(mux.Outcome{}, nil))), text: opened + "C: <iq type='get' to='@' id='1'><query xmlns='urn:q'/></iq>\nS: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "IQ refused", with: having(query(always(mux.Outcome{}, stanza.Error{Type: stanza.Cancel, Condition: stanza.Conflict, Text: map[string]string{"en": "a < b"}}))), text: opened + asksQ +
		"S: <iq from='example.net' type='error' id='1'><error type='cancel'><conflict{stanzas}/><text{stanzas} xml:lang='en'>a &lt; b</text></error></iq>"},
	{name: "IQ refused with payload", with: having(query(always(mux.Outcome{}, &mux.Error{Stanza: stanza.Error{Type: stanza.Wait, Condition: stanza.PolicyViolation}, App: "<slow xmlns='urn:q'/>", Payload: true}))), text: opened + asksQ +
		"S: <iq from='example.net' type='error' id='1'><query xmlns='urn:q'/><error type='wait'><policy-violation{stanzas}/><slow xmlns='urn:q'/></error></iq>"},
	{name: "IQ that fails", with: having(query(always(mux.Outcome{}, errors.New("no")))), text: opened + asksQ + "S: <iq from='example.net' type='error' id='1'><error type='wait'><internal-server-error{stanzas}/></error></iq>"},
	{name: "IQ result that cannot be written", with: having(query(always(mux.Outcome{Reply: illegal{}}, nil))), text: opened + asksQ + "S: <iq from='example.net' type='error' id='1'><error type='wait'><internal-server-error{stanzas}/></error></iq>"},
	{name: "IQ after its time", with: having(query(always(mux.Outcome{}, nil))), text: loggedIn + asksQ + "S: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "authenticates without restart", with: having(nonza(always(mux.Outcome{Reply: mux.Raw("<success xmlns='urn:x'/>"), Sets: mux.Authenticated, Account: romeo}, nil))), text: opened + goes + "S: <success xmlns='urn:x'/>{bind}\n" +
		bindX + "S: <iq to='romeo@example.net/x' type='result' id='1'><bind{ns}><jid>romeo@example.net/x</jid></bind></iq>"},
	{name: "authenticates with restart", with: having(nonza(always(mux.Outcome{Reply: mux.Raw("<success xmlns='urn:x'/>"), Sets: mux.Authenticated, Account: romeo, Restart: true}, nil))), text: opened + goes + "S: <success xmlns='urn:x'/>\nC: {open}\nS: {head}{bind}"},
	{name: "failures count together", with: having(nonza(always(mux.Outcome{Reply: mux.Raw("<failure xmlns='urn:x'/>"), Failed: "not-authorized"}, nil))), text: opened + goes + "S: <failure xmlns='urn:x'/>\n" + wrong + "\n" +
		goes + "S: <failure xmlns='urn:x'/>{error policy-violation}\nEND", err: "policy-violation"},
	{name: "failures that do not count", with: having(nonza(always(mux.Outcome{Reply: mux.Raw("<failure xmlns='urn:x'/>"), Failed: "temporary-auth-failure"}, nil))), text: opened +
		strings.Repeat(goes+"S: <failure xmlns='urn:x'/>\n", 5) + "C: {romeo}\nS: {success}"},
	{name: "resumes nothing", with: having(nonza(always(mux.Outcome{Become: &mux.Resumption{}}, nil))), text: opened + goes + "S: {error undefined-condition}\nEND", err: "undefined-condition"},
	{name: "resumes nothing, and says so", with: having(nonza(always(mux.Outcome{Sets: mux.Authenticated, Account: romeo, Become: &mux.Resumption{
		Refused: func(error) xmlstream.Marshaler { return mux.Raw("<failed xmlns='urn:x'/>") },
	}}, nil))), text: opened + goes + "S: <failed xmlns='urn:x'/>{bind}"},
	{name: "authenticates nobody", with: having(nonza(always(mux.Outcome{Sets: mux.Authenticated}, nil))), text: opened + goes + "S: {error internal-server-error}\nEND", err: "internal-server-error"},
	{name: "authenticates a foreigner", with: having(nonza(always(mux.Outcome{Sets: mux.Authenticated, Account: mux.MustParseAddress("romeo@example.org")}, nil))), text: opened + goes + "S: {error internal-server-error}\nEND", err: "internal-server-error"},
}

// illegal cannot be written.
type illegal struct{}

func (illegal) TokenReader() xml.TokenReader {
	return xmlstream.Token(xml.Comment("x"))
}

func TestServeFeatures(t *testing.T) {
	t.Parallel()
	play(t, stepped)
}

// TestServeFeatureBinds: a feature may bind by itself, as Bind 2 does; features
// follow (core-im SF-4), and the stream is in use.
func TestServeFeatureBinds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := trusted()
		having(nonza(func(ctx context.Context, st *mux.Stream, _ *mux.Stanza) (mux.Outcome, error) {
			st.SetAccount(romeo)
			_, err := st.Bind(ctx, &mux.BindOptions{Resource: "two"})
			return mux.Outcome{Reply: mux.Raw("<success xmlns='urn:x'/>"), Sets: mux.Authenticated, Account: romeo}, err
		}))(&s)
		p := newSite(t, s).connect()
		defer p.stop()
		p.run(opened + goes + "S: <success xmlns='urn:x'/><stream:features>{session}{more}</stream:features>\n" +
			"C: <iq type='set' id='2'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>\nS: <iq from='romeo@example.net' to='romeo@example.net/two' type='result' id='2'/>")
	})
}

// TestServeResumes: Outcome.Become, refused and granted (core-im SF-4, COMB).
func TestServeResumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := trusted()
		then := 0
		resume := nonza(func(_ context.Context, st *mux.Stream, el *mux.Stanza) (mux.Outcome, error) {
			id, _ := mux.ParseSessionID(el.Attr("id"))
			return mux.Outcome{Then: func() { then++ }, Become: &mux.Resumption{
				ID: id,
				Check: func(s *mux.Session) error {
					if s.Account() != st.Account() {
						return mux.ErrNoSession
					}
					return nil
				},
				Reply:   func(*mux.Session) xmlstream.Marshaler { return mux.Raw("<resumed xmlns='urn:x'/>") },
				Refused: func(error) xmlstream.Marshaler { return mux.Raw("<failed xmlns='urn:x'/>") },
			}}, nil
		})
		resume.Needs = mux.Authenticated
		s.exts = []mux.Extension{features{list: []mux.Feature{resume}, keep: time.Minute}}
		site := newSite(t, s)
		old := site.connect()
		old.run(loggedIn + bindX)
		synctest.Wait()
		id := old.st.Session().ID().String()
		old.stop()
		p := site.connect()
		defer p.stop()
		p.run(loggedIn + goes + "S: <failed xmlns='urn:x'/>\n" +
			"C: <go xmlns='urn:x' id='" + id + "'/>\nS: <resumed xmlns='urn:x'/>\n" +
			"C: <iq type='set' id='2'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>\nS: <iq from='romeo@example.net' to='romeo@example.net/x' type='result' id='2'/>")
		if then != 1 {
			t.Errorf("Then ran %d times, want once", then)
		}
	})
}
