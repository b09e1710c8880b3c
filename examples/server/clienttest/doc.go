// Package clienttest drives real XMPP clients against the reference server:
// slixmpp, @xmpp/client, profanity and go-sendxmpp, over STARTTLS (RFC 6120 §5)
// and direct TLS (XEP-0368), the second with SASL2, Bind 2 and tokens (XEP-0388,
// XEP-0386, XEP-0484). Some of them also drive the server of examples/embed, which is
// somebody else's but for two extensions.
//
// Prosody is the other server where what goes between servers is tested.
//
// A headless Chromium makes accounts on the web pages, with which clients log in.
//
// The tests are behind the build tag clients, because they need programs that
// Go does not bring:
//
//	apt-get install --no-install-recommends python3-slixmpp profanity tmux go-sendxmpp chromium prosody
//	npm install --no-audit --no-fund --ignore-scripts @xmpp/client@0.14.0 ws@8.18.0
//	CLIENTTEST_NODE_MODULES=$PWD/node_modules go test -tags clients ./examples/server/clienttest
//
// With the tag a program that is missing fails the test that needs it. Chromium leaves
// pictures of all pages in the folder CLIENTTEST_SHOTS, if that is set.
//
// To see whether a script asks for more than XMPP does, run it against another
// server: with CLIENTTEST_ADDR="c2s=HOST:PORT c2s-tls=HOST:PORT cert=FILE" the tests
// use that server, which must serve example.net with the accounts alice and bob
// and the password "secret". Tests that restart the server are skipped then.
package clienttest
