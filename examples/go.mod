module github.com/propolis-im/propolis/examples

go 1.26.0

require (
	github.com/propolis-im/propolis v0.0.0
	github.com/propolis-im/propolis/sqlstore v0.0.0
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.49.0
	golang.org/x/term v0.47.0
	mellium.im/xmpp v0.22.0
)

require (
	golang.org/x/text v0.43.0 // indirect
	mellium.im/reader v0.1.0 // indirect
	mellium.im/xmlstream v0.15.4 // indirect
)

replace (
	github.com/propolis-im/propolis => ../
	github.com/propolis-im/propolis/sqlstore => ../sqlstore
)
