package sasl2

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"log/slog"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Namespaces of what is sent and understood here.
const (
	NS          = "urn:xmpp:sasl:2"         // XEP-0388
	NSBind      = "urn:xmpp:bind:0"         // XEP-0386
	NSFast      = "urn:xmpp:fast:0"         // XEP-0484
	NSUpgrade   = "urn:xmpp:sasl:upgrade:0" // XEP-0480
	NSScramTask = "urn:xmpp:scram-upgrade:0"
	NSPipeline  = "urn:xmpp:iap:0" // XEP-0509
	NSClients   = "urn:xmpp:cam:0" // XEP-0494

	nsSASL = "urn:ietf:params:xml:ns:xmpp-sasl" // of conditions
)

// SASL authenticates the peers of streams. Its methods run on the goroutines that
// negotiate, several at a time. A value may also be a [Binder], a [Statuser] and an
// [Upgrader].
type SASL interface {
	// Mechanisms lists what can succeed on the stream as it is, best first; it is
	// asked when features are sent. Names that are not listed are refused.
	Mechanisms(st *mux.Stream) []string
	// Start begins an exchange for the accounts of a served domain, which is
	// prepared. An error is answered as one of [Exchange.Step].
	Start(st *mux.Stream, mechanism, domain string) (Exchange, error)
}

// Exchange is one run of a mechanism, which ends with done or an error. If it has a
// method Generation() int64, that is the generation of the credentials that were
// proved; without, the login gets neither token nor upgrade. If it has a method
// Claimed() string, that is the prepared bare JID that the peer says it is, empty as
// long as that is not known, for those who watch over failures.
type Exchange interface {
	// Step takes the peer's next message: nil if it sent no initial response. With
	// done the peer is authenticated and out goes with the success, nil for
	// nothing; else out is the next challenge, and must not be empty (XEP-0388
	// §2.2). The error should have a method SASLCondition() string that gives a
	// condition of RFC 6120 §6.5, which is all that the peer is told; any other is
	// logged and answered with temporary-auth-failure. Step may wait.
	Step(ctx context.Context, in []byte) (out []byte, done bool, err error)
	// Account is the bare JID that was authenticated; it is asked after done.
	Account() string
}

// Binder is a [SASL] that knows the channel bindings of streams.
type Binder interface {
	// Binding is the data of a binding type of XEP-0440 on the stream. An error
	// means that there is none. A value that also has a method HasBinding, with the
	// same arguments, is asked by that whether there is some, and for the data only
	// where it is used.
	Binding(st *mux.Stream, typ string) ([]byte, error)
}

// bindingTeller is such a value.
type bindingTeller interface {
	HasBinding(st *mux.Stream, typ string) bool
}

// Statuser is a [SASL] that tells how accounts are. Tokens need it.
type Statuser interface {
	// Status returns the generation of an account's credentials, which is another
	// one after each change of the password. An error is for failures only.
	Status(ctx context.Context, account string) (generation int64, disabled, exists bool, err error)
}

// Upgrader is a [SASL] that wants keys which accounts lack (XEP-0480).
type Upgrader interface {
	// Upgrades names the tasks that are of use for an account; for one that does
	// not exist as if it did.
	Upgrades(ctx context.Context, account string) ([]string, error)
	// BeginUpgrade begins a task for an account that has proved the password of
	// that generation. finish takes the SaltedPassword, once. Errors are as those of
	// [Exchange.Step]; nothing is written if the account has changed meanwhile.
	BeginUpgrade(ctx context.Context, account string, generation int64, task string) (
		salt []byte, iterations int, finish func(ctx context.Context, saltedPassword []byte) error, err error)
}

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// Secret is what tokens, resources and whatever else must be the same
	// tomorrow, and in other processes of the same server, is derived from. All
	// zero means a random one: then tokens end with the process. Another secret ends
	// all tokens at once, since no earlier one counts beside it: clients log in as
	// they did to get them, most with the password. They are other installations then,
	// with other resources, and those that are in the store are forgotten after
	// Retention.
	Secret [32]byte
	// Tokens are the mechanisms that tokens may be used with, best first; those
	// whose channel binding a stream lacks are not offered on it. Nil means
	// HT-SHA-256-EXPR, HT-SHA-256-ENDP and HT-SHA-256-NONE.
	Tokens []string
	// TokenLifetime is how long a token may be used, 0 or less for 21 days; one
	// older than TokenRotation, 0 or less for 24 hours, is replaced when it is used.
	TokenLifetime, TokenRotation time.Duration
	// MaxClients bounds the installations that are known of an account, 0 or less
	// for 32: those that were away for longest are forgotten.
	MaxClients int
	// Retention is how long an installation is known that does not come back, 0 or
	// less for 90 days. It should not be less than TokenLifetime.
	Retention time.Duration
	// NoPipelining does not offer XEP-0509.
	NoPipelining bool
	// Logger is for protocol steps (Debug) and failures of the stores (Error); nil
	// discards.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Secret == [32]byte{} {
		_, _ = rand.Read(d.Secret[:]) // never fails
	}
	if d.Tokens == nil {
		d.Tokens = []string{"HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"}
	}
	set := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	const day = 24 * time.Hour
	set(&d.TokenLifetime, 21*day)
	set(&d.TokenRotation, day)
	set(&d.Retention, 90*day)
	if d.MaxClients <= 0 {
		d.MaxClients = 32
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

var (
	_ mux.Extension = (*Extension)(nil)

	errNoSASL = errors.New("no mechanisms")
)

// Extension is the server's side. Make one with New; it belongs to one mux.
type Extension struct {
	auth    SASL
	store   Store
	clients func(ctx context.Context, account mux.Address) ([]Client, error) // those of the store, for reading only
	opt     Options
	keys    keys
	digests digests
	tokens  []HT
	log     *slog.Logger

	state mux.StreamKey[streamState]
	owner mux.Key[owner]
}

// streamState is what was offered on a stream.
type streamState struct {
	offered []string // mechanisms, in the last features
	version string   // of all that was, see XEP-0509
	client  string   // has logged in, and is going to bind or resume by itself
	byToken bool     // has it logged in so

	tls    *tls.ConnectionState // that usable is for
	usable []HT
}

// New returns the extension. tokens may be nil: then there are no tokens, and
// installations are told apart on binding only. o may be nil and is copied.
func New(auth SASL, tokens Store, o *Options) *Extension {
	x := &Extension{auth: auth, store: tokens, opt: o.withDefaults()}
	x.keys, x.log = deriveKeys(x.opt.Secret), x.opt.Logger
	switch store := tokens.(type) {
	case nil:
	case *Memory:
		x.clients = store.kept // needs no copy
	default:
		x.clients = store.Clients
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "sasl2" }

var (
	authenticateName = xml.Name{Space: NS, Local: "authenticate"}
	listName         = xml.Name{Space: NSClients, Local: "list"}
	revokeName       = xml.Name{Space: NSClients, Local: "revoke"}
)

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	if x.auth == nil {
		return errNoSASL
	}
	for _, name := range x.opt.Tokens {
		m, ok := ParseHT(name)
		if !ok {
			return errors.New("no mechanism for tokens: " + name)
		}
		x.tokens = append(x.tokens, m)
	}
	x.state = mux.StreamSlot[streamState](r)
	x.owner = mux.PersistentSlot(r, "sasl2", ownerCodec)
	r.Feature(mux.Feature{
		// XEP-0388 §2.1: inside TLS only.
		Name: "sasl2", Needs: mux.Secure, Forbids: mux.Authenticated,
		List: x.list, Owns: []xml.Name{authenticateName}, Step: x.authenticate,
	})
	r.Lifecycle(mux.Lifecycle{Attached: x.attached})
	if !x.opt.NoPipelining {
		r.Feature(mux.Feature{Name: "config-version", Needs: mux.Secure, Forbids: mux.Authenticated, Last: x.version})
	}
	if x.store == nil {
		return nil
	}
	r.IQ(mux.AtSelf, stanza.GetIQ, listName, x.listClients, mux.Blocks())
	r.IQ(mux.AtSelf, stanza.SetIQ, revokeName, x.revokeClient, mux.Blocks())
	mux.On(r, func(_ context.Context, e *mux.Event, _ mux.CredentialsChanged) error {
		e.Work.Write(x.store.DropTokens(e.Account))
		return nil
	})
	mux.On(r, func(_ context.Context, e *mux.Event, _ mux.AccountRemoved) error {
		e.Work.Write(x.store.Remove(e.Account, ""))
		return nil
	})
	return nil
}
