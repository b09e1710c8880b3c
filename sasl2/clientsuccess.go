package sasl2

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// maxToken is the length of the longest token that is kept, in octets.
const maxToken = 1024

// verify believes the server or not (auth-register S2-10, SA-16). What proves it
// comes with the first answer that says that the client is authenticated.
func (e *clientExchange) verify(t *clientTry, el *Element) error {
	additional := el.Child(NS, "additional-data")
	if t.verified {
		if additional != nil {
			return broken("data after its end")
		}
		return nil
	}
	var in []byte
	if additional != nil {
		var err error
		if in, err = elementData(additional); err != nil {
			return fmt.Errorf("%w: %w", ErrServerNotAuthenticated, err)
		}
	}
	if err := t.run.Verify(in); err != nil {
		return fmt.Errorf("%w: %w", ErrServerNotAuthenticated, err)
	}
	t.verified = true
	return nil
}

// success checks everything before anything is believed, and keeps what is new
// before it is acted on (auth-register FT-15).
func (e *clientExchange) success(ctx context.Context, t *clientTry, o *Offer, el *Element) error {
	if err := e.verify(t, el); err != nil {
		return err
	}
	address, err := e.identity(el)
	if err != nil {
		return err
	}
	l := Login{Mechanism: t.run.Mechanism(), Token: t.token != nil, Upgraded: t.upgraded}
	if t.token == nil {
		l.Run = t.run
	}
	if t.resume {
		l.Resumed = el.Child(e.resumes.Name.Space, "resumed")
		l.Refused = el.Child(e.resumes.Name.Space, "failed")
	}
	if t.bind && l.Resumed == nil {
		l.Bound = el.Child(NSBind, "bound")
	}
	switch {
	case l.Resumed != nil && address.Resourcepart() == "":
		address = e.account // auth-register IN-14: some say the account only
	case l.Bound != nil && address.Resourcepart() == "":
		return broken("bound to no resource")
	}
	if err := e.keep(ctx, t, o, el); err != nil {
		return err
	}
	if l.Resumed != nil || l.Bound != nil {
		e.s.UpdateAddr(address)
	}
	e.login, e.flight = l, nil
	return nil
}

// identity is who the server has let in, which must be who was meant
// (auth-register S2-14). Older texts have another name for the element.
func (e *clientExchange) identity(el *Element) (jid.JID, error) {
	id := cmp.Or(el.Child(NS, "authorization-identifier"), el.Child(NS, "authorization-identity"))
	if id == nil {
		return jid.JID{}, broken("success for nobody")
	}
	address, err := jid.Parse(strings.TrimSpace(id.Text))
	if err != nil {
		return jid.JID{}, fmt.Errorf("%w: %w", ErrServerMessage, err)
	}
	if !address.Bare().Equal(e.account.Bare()) {
		return jid.JID{}, ErrOtherAccount
	}
	return address, nil
}

// keep saves what a success has changed.
func (e *clientExchange) keep(ctx context.Context, t *clientTry, o *Offer, el *Element) error {
	old := e.state
	if t.token != nil {
		e.state = e.state.worked(*t.token)
	}
	if token, ok := parseToken(el.Child(NSFast, "token")); ok && (t.wish != "" || t.token != nil) {
		if token.Mechanism = t.wish; t.wish == "" {
			token.Mechanism = t.token.Mechanism
		}
		e.state = e.state.with(token)
	}
	e.state.SASL2 = true
	e.state.Offer = nil
	if e.o.Pipeline && o.Version != "" {
		e.state.Offer = o
	}
	if old.SASL2 && slices.Equal(old.Tokens, e.state.Tokens) && old.Offer == nil && e.state.Offer == nil {
		return nil
	}
	return e.save(ctx)
}

// parseToken reads a token (XEP-0484 §3.3). One without an expiry that can be read
// is tried until it is refused.
func parseToken(el *Element) (t ClientToken, ok bool) {
	if el == nil {
		return t, false
	}
	t.Secret = el.Attr("token")
	t.Expires, _ = time.Parse(time.RFC3339, el.Attr("expiry"))
	return t, t.Secret != "" && len(t.Secret) <= maxToken
}
