// Package faults holds no code but tests: the extensions that messages pass on
// their way, put together as in the reference server, while connections break,
// sessions expire and the server is restarted or killed. Whatever happens, no message
// is lost and none is doubled beyond what cannot be known.
//
//	go test ./examples/faults                    # some schedules
//	go test ./examples/faults -schedules 10000   # more
//	go test ./examples/faults -seed 42           # one that failed, again
package faults
