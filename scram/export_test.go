package scram

import "golang.org/x/text/secure/precis"

// SASLprep is tested alone against another implementation.
var SASLprep = saslprep

// IsPreparedASCII is tested against the profile that it stands in for.
var IsPreparedASCII = isPreparedASCII

// UsernameCaseMapped is that profile.
var UsernameCaseMapped = precis.UsernameCaseMapped
