package sasl2

import (
	"encoding/base64"
	"hash"

	"github.com/propolis-im/propolis/mux"
)

func account(s string) mux.Address { return mux.MustParseAddress(s) }

func appendBase64(b []byte) []byte { return base64.StdEncoding.AppendEncode(nil, b) }

// Hashed has the octets counted that mechanisms for tokens hash from now on.
func (x *Extension) Hashed(n *int) {
	for i, m := range x.tokens {
		x.tokens[i].hash = func() hash.Hash { return countedHash{m.hash(), n} }
	}
}

type countedHash struct {
	hash.Hash
	n *int
}

func (h countedHash) Write(p []byte) (int, error) {
	*h.n += len(p)
	return h.Hash.Write(p)
}
