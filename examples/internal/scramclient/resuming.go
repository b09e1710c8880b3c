package scramclient

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/smacks"
)

// Resuming logs in with SASL2, which resumes, or binds and enables stream management, in
// the same step (XEP-0198 §9). A server that lacks it is logged in to as before, and
// then nothing is resumed. Make one with NewResuming.
//
// What a login has to keep, such as a token, is kept as long as the process lives. A
// program with tokens that outlive it writes them to a file in options.Save.
type Resuming struct {
	account jid.JID
	options *sasl2.ClientOptions
	proof   *scram.ClientOptions
	older   []xmpp.StreamFeature

	mu sync.Mutex // one login at a time, or two would use a token with one count
}

// NewResuming makes one; the resource of the account is what those that are bound begin
// with.
func NewResuming(account jid.JID, password string, config *tls.Config) *Resuming {
	proof := &scram.ClientOptions{Username: account.Localpart(), Password: scram.FixedPassword(password)}
	o := Options(proof)
	o.Tag = account.Resourcepart()
	// That is how a login keeps what it got although it has failed in the end: the
	// server counts it from success on, also if that does not arrive whole.
	o.Save = func(_ context.Context, s sasl2.ClientState) error {
		o.State = s
		return nil
	}
	x := &Resuming{account: account, options: o, proof: proof, older: append(scram.Features(proof), xmpp.StartTLS(config))}
	proof.Save = func(_ context.Context, l scram.Login) error {
		proof.Pins = l.Pins
		return nil
	}
	return x
}

// Login is for [smacks.ClientOptions].
func (x *Resuming) Login(ctx context.Context, c net.Conn, _ jid.JID, resume, enable string) (smacks.LoggedIn, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	o := *x.options
	o.Resume, o.Enable = resume, []string{enable}
	s, l, err := sasl2.NewSession(ctx, x.account, c, &o, x.older...)
	if err != nil {
		return smacks.LoggedIn{}, err
	}
	if kept, ok := Login(l); ok {
		x.proof.Pins = kept.Pins
	}
	in := smacks.LoggedIn{Conn: s.Conn(), JID: l.JID, Resumed: attributes(l.Resumed), Failed: attributes(l.Refused)}
	if l.Bound != nil {
		in.Enabled = attributes(l.Bound.Child(smacks.NS, "enabled"))
	}
	if _, offered := s.Feature(smacks.NS); l.SASL1 && offered {
		in.Enabled = map[string]string{}
	}
	for _, f := range l.Features {
		in.Features = append(in.Features, f.Name.Space)
	}
	if l.SASL1 && csi.Supported(s) { // mellium does not list what there is
		in.Features = append(in.Features, csi.NS)
	}
	return in, nil
}

func attributes(e *sasl2.Element) map[string]string {
	if e == nil {
		return nil
	}
	m := make(map[string]string)
	for _, a := range e.Attrs {
		m[a.Name.Local] = a.Value
	}
	return m
}
