package smacks

import (
	"context"
	"sync"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// incoming is Stream Management on the stream of another server: what that sends is
// counted, and it is told how much of it is handled. Nothing goes the other way, and
// the stream cannot be resumed (smacks SM-98).
type incoming struct {
	st *mux.Stream

	mu sync.Mutex // guards what follows; what is said keeps the order of the counters
	beginning
	on    bool
	tells bool // another acknowledgement when what was received up to heard is handled
	heard uint32
}

var _ mux.Remote = (*incoming)(nil)

// Nonza implements [mux.Remote].
func (k *incoming) Nonza(_ context.Context, el *mux.Stanza) error {
	switch el.Name().Local {
	case enableName.Local:
		k.enable()
	case requestName.Local:
		k.request()
	case ackName.Local:
		return k.ack(el.Attr("h"))
	case resumeName.Local:
		k.fail(notImplemented) // XEP-0198 §5
	case "failed":
		// Two servers must not refuse each other's refusals for ever.
	default:
		k.fail(badRequest) // smacks SM-46
	}
	return nil
}

// Parting implements [mux.Remote]: the last acknowledgement goes before the end tag
// (smacks SM-37).
func (k *incoming) Parting() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.on {
		k.tell()
	}
}

// enable turns it on; whoever wants to resume is told that this cannot be by what the
// answer leaves out.
func (k *incoming) enable() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.on || k.st.State()&mux.Authenticated == 0 {
		k.fail(unexpected) // smacks SM-4, SM-11
		return
	}
	k.on, k.base = true, k.st.Received()
	k.say("<enabled xmlns='" + NS + "'/>")
}

// request answers with what is handled, at once, and once more when what came before
// is (XEP-0198 §4; smacks SM-33).
func (k *incoming) request() {
	received := k.st.Received()
	if k.asked(received) {
		k.st.OnHandled(received, func() { k.handled(received) })
	}
}

// asked answers, and reports whether there is to be another answer.
func (k *incoming) asked(received uint32) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.on {
		k.fail(unexpected) // smacks SM-46
		return false
	}
	if k.tell() == received || k.tells && k.heard == received {
		return false
	}
	k.tells, k.heard = true, received
	return true
}

// handled: all up to that one is, for which the peer was told that it was not.
func (k *incoming) handled(received uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.tells && k.heard == received {
		k.tells = false
	}
	k.tell()
}

// ack takes an acknowledgement; there is nothing to acknowledge but nothing.
func (k *incoming) ack(text string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	h, number := parseH(text)
	switch {
	case !k.on:
		k.fail(unexpected)
		return nil
	case !number:
		return stream.BadFormat // smacks SM-27
	case h != 0:
		return tooHigh(h, 0) // smacks SM-38
	}
	return nil
}

// tell sends an acknowledgement, and returns up to which stanza; the lock is held.
func (k *incoming) tell() (handled uint32) {
	handled = k.st.Handled()
	k.say("<a xmlns='" + NS + "' h='" + utoa(k.h(handled)) + "'/>")
	return handled
}

func (k *incoming) fail(condition string) { k.say(string(failed(condition))) }

func (k *incoming) say(text string) { _ = k.st.Say(mux.Written(text)) } // a broken stream ends by itself
