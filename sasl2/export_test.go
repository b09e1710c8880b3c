package sasl2

import (
	"encoding/base64"

	"github.com/propolis-im/propolis/mux"
)

func account(s string) mux.Address { return mux.MustParseAddress(s) }

func appendBase64(b []byte) []byte { return base64.StdEncoding.AppendEncode(nil, b) }
