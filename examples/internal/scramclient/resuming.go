package scramclient

import (
	"context"
	"crypto/tls"
	"net"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/smacks"
)

// Resuming logs in with SASL2, which resumes, or binds and enables stream management, in
// the same step (XEP-0198 §9). A server that lacks it is logged in to as before, and
// then nothing is resumed. Make one with NewResuming.
type Resuming struct {
	config  *tls.Config
	account jid.JID
	options *sasl2.ClientOptions
	older   []xmpp.StreamFeature
}

// NewResuming makes one; the resource of the account is what those that are bound begin
// with.
func NewResuming(account jid.JID, password string, config *tls.Config) *Resuming {
	proof := &scram.ClientOptions{Username: account.Localpart(), Password: scram.FixedPassword(password)}
	o := Options(proof)
	o.Tag = account.Resourcepart()
	x := &Resuming{config: config, account: account, options: o, older: append(scram.Features(proof), xmpp.StartTLS(config))}
	proof.Save = func(_ context.Context, l scram.Login) error {
		proof.Pins = l.Pins
		return nil
	}
	return x
}

// Login is for [smacks.ClientOptions].
func (x *Resuming) Login(ctx context.Context, c net.Conn, _ jid.JID, resume, enable string) (conn net.Conn, bound jid.JID, resumed, failed, enabled map[string]string, err error) {
	o := *x.options
	o.Resume, o.Enable = resume, []string{enable}
	s, l, err := sasl2.NewSession(ctx, x.account, c, &o, x.older...)
	if err != nil {
		return nil, jid.JID{}, nil, nil, nil, err
	}
	x.options.State = l.State // tokens spare the password the next time
	if l.Bound != nil {
		enabled = attributes(l.Bound.Child(smacks.NS, "enabled"))
	}
	if _, offered := s.Feature(smacks.NS); l.SASL1 && offered {
		enabled = map[string]string{}
	}
	return s.Conn(), l.JID, attributes(l.Resumed), attributes(l.Refused), enabled, nil
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
