module github.com/propolis-im/propolis/examples

go 1.26.0

require (
	github.com/propolis-im/propolis v0.0.0
	github.com/propolis-im/propolis/sqlstore v0.0.0
)

replace (
	github.com/propolis-im/propolis => ../
	github.com/propolis-im/propolis/sqlstore => ../sqlstore
)
