module github.com/propolis-im/propolis/web

go 1.26.0

require (
	github.com/propolis-im/propolis v0.0.0
	mellium.im/xmpp v0.22.0
	rsc.io/qr v0.2.0
)

require (
	golang.org/x/crypto v0.57.0 // indirect
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/net v0.59.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
	mellium.im/reader v0.1.0 // indirect
	mellium.im/sasl v0.3.2 // indirect
	mellium.im/xmlstream v0.15.4 // indirect
)

replace github.com/propolis-im/propolis => ../
