// Package muxtest tests extensions of package mux without a network: on a host
// in memory, with clients that are played by the test.
//
// A test makes a [Host] with the extensions in question, connects a [Client] for
// each peer, sends and expects elements:
//
//	synctest.Test(t, func(t *testing.T) {
//		h := muxtest.New(t, nil, greeter{})
//		romeo := h.Connect(t, "romeo@example.net/orchard")
//		romeo.Send("<iq type='get' id='1'><hello xmlns='urn:example:hello'/></iq>")
//		romeo.Expect("<iq type='result' id='1' from='romeo@example.net' to='romeo@example.net/orchard'>{*}</iq>")
//	})
//
// Inside a bubble of testing/synctest time is the bubble's, and each step waits
// until everything has come to rest; so "nothing arrives" can be tested, without
// sleeping. Outside a bubble, as in an Example, expected elements are waited for
// in real time.
//
// # Transcripts
//
// [Transcripts] plays files in which the same is written as on the wire, one
// scenario in each:
//
//	# A message reaches the other session.
//	account juliet@example.net
//	romeo connects as romeo@example.net/orchard
//	juliet connects as juliet@example.net/balcony
//	romeo> <message to='juliet@example.net/balcony' id='1'><body>Hi</body></message>
//	juliet< <message from='romeo@example.net/orchard' to='juliet@example.net/balcony' id='1'>
//	    <body>Hi</body></message>
//	+30s
//	romeo drops
//
// A line that begins with white space continues the one before. Lines with >
// send; those that follow one another are one step. Lines with < say what has
// arrived since, in order for each peer: something missing and something left
// over both fail. These are the other steps:
//
//	NAME connects as FULLJID             a stream with a bound session
//	NAME connects as FULLJID with ELEMENTS
//	                                     the same by Bind 2: members run, and their
//	                                     answers arrive in a bound element
//	NAME authenticates as BAREJID        a stream without a session; what it sends
//	                                     is for the stream features
//	NAME resumes N                       a new stream that sends XEP-0198's resume
//	                                     with h=N for the session enabled last
//	NAME drops                           the connection breaks
//	NAME closes                          the peer ends its stream
//	NAME is dropped                      expects that we broke the connection
//	DOMAIN connects [as component]       another server, or a component
//	account BAREJID                      the account exists
//	commits hold | release | fail        what the Committer does
//	restart                              the mux shuts down and starts again
//	+DURATION                            time passes
//
// A domain as NAME stands for another server: what it sends comes in on a stream
// of its own, and it gets what the mux routes there. "NAME< *" accepts whatever
// is there.
//
// # Comparing
//
// Elements are compared as trees ([Match]): the order of attributes, prefixes
// and white space between elements say nothing. {*} or * as an attribute's value,
// text or namespace matches any, {*} as the content of an element whatever is in
// it. ${name} captures what is there, and matches just that from then on; in what
// is sent it is replaced.
package muxtest
