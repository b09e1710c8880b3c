package scram

// The conditions of a [Failure], named as in RFC 6120 §6.5. Those for callers
// are never returned by this package.
const (
	Aborted              = "aborted"                // for callers: the client gave up
	AccountDisabled      = "account-disabled"       // sent after the proof was verified only
	CredentialsExpired   = "credentials-expired"    // for callers: sent after verification only
	EncryptionRequired   = "encryption-required"    // for callers: PLAIN outside TLS
	IncorrectEncoding    = "incorrect-encoding"     // for callers: wrong base64 around a message
	InvalidAuthzid       = "invalid-authzid"        // to act for somebody else was asked
	InvalidMechanism     = "invalid-mechanism"      // unknown or switched off
	MalformedRequest     = "malformed-request"      // the message breaks the grammar
	NotAuthorized        = "not-authorized"         // every other refusal, whatever its reason
	TemporaryAuthFailure = "temporary-auth-failure" // store down or too much to do; not the client's fault
)

// Failure is the error of an exchange that ended without success. Condition
// alone is meant for the peer. The cause behind it is for logs and must not
// be sent: it may tell whether the account exists (RFC 5802 §7). It never
// contains a password, a nonce or any other octet of a message.
type Failure struct {
	Condition string // one of the constants of this package
	cause     error
}

// fail returns a failure of that condition.
func fail(condition string, cause error) *Failure {
	return &Failure{Condition: condition, cause: cause}
}

// Error returns condition and cause, for logs only.
func (f *Failure) Error() string {
	if f.cause == nil {
		return "scram: " + f.Condition
	}
	return "scram: " + f.Condition + ": " + f.cause.Error()
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.cause }

// SASLCondition returns Condition, for callers that know failures by an
// interface.
func (f *Failure) SASLCondition() string { return f.Condition }
