package scram

// ClientProof is tested against a published exchange with an attribute that this
// client does not send.
func ClientProof(k ClientKeys, signed []byte) []byte { return k.proof(signed) }
