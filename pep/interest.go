package pep

import (
	"context"

	"github.com/propolis-im/propolis/mux"
)

// Interest is what an [Extension] is told by whoever reads the capabilities of
// resources (XEP-0115, XEP-0390), an extension of its own.
type Interest interface {
	// Wants says that a resource, a full JID that is available, wants the events of
	// these nodes from now on, and of no others: the features of its capabilities
	// that end in "+notify", without that. No nodes mean that it wants none any more:
	// it has become unavailable, its presence came back as an error, or its
	// capabilities have no such feature.
	//
	// e is a turn of the account that the presence reached. For a session of our own,
	// that is its own account, in the turn of what the client said, and so it is
	// for what it says to its contacts as well; their turns need not be told. For
	// anybody else, and for presence that an own session sends to an account that
	// is no contact, it is the account that gets it.
	//
	// nodes must not be changed afterwards. A version of capabilities should be
	// given as the same slice each time: being told again what is known then costs
	// nothing, so every presence may be told. Nodes that are new get their last
	// items (XEP-0163 §4.3.3); so does every node when a resource comes back.
	//
	// The end of a session of our own need not be told. What arrives for an account of
	// which nobody is online passes guards only, not observers; it counts too.
	Wants(ctx context.Context, e *mux.Event, resource mux.Address, nodes []string)
	// Known is Wants for a session of our own that was restored after a restart, before
	// the mux has started: it wants these nodes and has had their last items. It
	// may be called outside of a turn.
	Known(resource mux.Address, nodes []string)
}
