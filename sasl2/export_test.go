package sasl2

import "github.com/propolis-im/propolis/mux"

func account(s string) mux.Address { return mux.MustParseAddress(s) }
