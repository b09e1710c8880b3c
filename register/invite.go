package register

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/mux"
)

// Namespaces of invitations.
const (
	NSToken  = "urn:xmpp:ibr-token:0" // stream feature (XEP-0445)
	NSPars   = "urn:xmpp:pars:0"      // the token itself (XEP-0379)
	NSInvite = "urn:xmpp:invite"      // XEP-0401
)

// InviteID names an invitation: the SHA-256 hash of its token, which itself is not
// kept.
type InviteID [sha256.Size]byte

// String is the form in which people name an invitation: the first 80 bits.
func (id InviteID) String() string { return hex.EncodeToString(id[:10]) }

// IDOf returns the name of the invitation that a token is for.
func IDOf(token string) InviteID { return sha256.Sum256([]byte(token)) }

// maxToken bounds tokens that are looked up, in octets.
const maxToken = 128

// newToken returns a token of 130 random bits, letters and digits only.
func newToken() string { return strings.ToLower(rand.Text()) }

// InviteKind says what an invitation is for.
type InviteKind uint8

// The kinds.
const (
	ForAccount InviteKind = iota + 1 // to make an account
	ForContact                       // to become a contact of the inviter, see MayRegister
	ForReset                         // to set a new password for an account that there is
)

// String names the kind.
func (k InviteKind) String() string {
	switch k {
	case ForAccount:
		return "account"
	case ForContact:
		return "contact"
	case ForReset:
		return "reset"
	}
	return "unknown"
}

// Invite is an invitation as it is kept.
type Invite struct {
	ID     InviteID
	Kind   InviteKind
	Domain string // where, a served domain
	// Name is the prepared localpart that the account has to have, which nobody else
	// can have until the invitation expires; empty for a free choice.
	Name string
	// Inviter is who invites; zero for the operator.
	Inviter mux.Address
	// MayRegister says that one ForContact may be used to make an account too.
	MayRegister bool
	// Befriend makes inviter and new account contacts of each other.
	Befriend bool
	// Uses is how many more accounts can be made with it, or contacts won.
	Uses             int
	Created, Expires time.Time
	Note             string // of the operator
}

// Registers reports whether an account can be made with it.
func (i *Invite) Registers() bool {
	return i.Kind == ForAccount || i.Kind == ForContact && i.MayRegister
}

// Valid reports whether it can be shown at that moment.
func (i *Invite) Valid(now time.Time) bool { return i.Uses > 0 && now.Before(i.Expires) }

// reserves reports whether nobody else can have a name because of it.
func (i *Invite) reserves(domain, name string, now time.Time) bool {
	return i.Kind == ForAccount && i.Name != "" && i.Domain == domain && i.Name == name && i.Valid(now)
}

// URI is what is handed out (XEP-0401 §5; XEP-0445 §2).
func (i *Invite) URI(token string) (URI, error) {
	u := URI{Action: "register", Params: map[string]string{"preauth": token}}
	var err error
	if i.Kind == ForContact {
		u.Action = "roster"
		u.JID = i.Inviter.JID()
		if i.MayRegister {
			u.Params["ibr"] = "y"
		}
		return u, nil
	}
	u.JID, err = jid.New(i.Name, i.Domain, "")
	return u, err
}
