package srvdial_test

import (
	"context"
	"fmt"
	"net"

	"github.com/propolis-im/propolis/srvdial"
)

// A domain whose clients come to port 443 first, and else to the usual one.
func ExampleDialer_Targets() {
	d := srvdial.Dialer{Resolver: &zone{domain: "example.net", records: map[string][]*net.SRV{
		"xmpps-client": {{Target: "xmpp.example.net.", Port: 443, Priority: 1}},
		"xmpp-client":  {{Target: "xmpp.example.net.", Port: 5222, Priority: 2}},
	}}}
	targets, err := d.Targets(context.Background(), "example.net")
	for _, t := range targets {
		fmt.Println(t)
	}
	fmt.Println(err)
	// Output:
	// xmpp.example.net:443 with TLS
	// xmpp.example.net:5222
	// <nil>
}
