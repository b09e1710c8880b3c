package register

import "sync"

// reserved are names that people take for the server's own (RFC 2142, and
// practice).
var reserved = map[string]bool{
	"abuse": true, "admin": true, "administrator": true, "daemon": true, "hostmaster": true, "info": true,
	"noreply": true, "postmaster": true, "root": true, "security": true, "service": true, "support": true,
	"system": true, "webmaster": true, "xmpp": true,
}

var reservedSkeletons = sync.OnceValue(func() map[string]bool {
	m := make(map[string]bool, len(reserved))
	for name := range reserved {
		m[Skeleton(name)] = true
	}
	return m
})

// IsReserved reports whether a prepared localpart is one that looks like the
// server's own, such as admin or postmaster, or as like one as letters can make it.
func IsReserved(local string) bool { return reserved[local] || reservedSkeletons()[Skeleton(local)] }
