package main

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/propolis-im/propolis/examples/server/internal/config"
)

// TestShared: no network takes all connections of browsers; proxies may, and whoever is
// on the same machine.
func TestShared(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		cfg  config.Config
		want int // connections of those that are tried
	}{
		{"public", config.Config{HTTP: ":443", Limits: true}, webConnsOf},
		{"without limits", config.Config{HTTP: ":443"}, webConnsOf + 5},
		{"proxy", config.Config{HTTP: ":443", Limits: true, HTTPProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, webConnsOf + 5},
		{"loopback", config.Config{HTTP: "127.0.0.1:80", Limits: true}, webConnsOf + 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			under, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ln := shared(under, &tt.cfg)
			defer ln.Close()
			accepted := make(chan net.Conn, 2*webConnsOf)
			go func() {
				defer close(accepted)
				for {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					accepted <- c
				}
			}()
			dial := func() net.Conn {
				t.Helper()
				c, err := net.Dial("tcp", under.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				_ = c.SetDeadline(time.Now().Add(patience))
				t.Cleanup(func() { _ = c.Close() })
				return c
			}
			var refused []net.Conn
			for n := range webConnsOf + 5 {
				c := dial()
				if n >= tt.want {
					refused = append(refused, c)
				}
			}
			var open []net.Conn
			for range tt.want {
				open = append(open, <-accepted)
			}
			for _, c := range refused {
				if _, err := c.Read(make([]byte, 1)); err == nil {
					t.Error("a connection too many is served")
				}
			}
			_ = open[0].Close()
			_ = open[0].Close() // counts once
			dial()
			(<-accepted).Close()
			for _, c := range open[1:] {
				_ = c.Close()
			}
			if l, ok := ln.(*sharedListener); ok {
				l.mu.Lock()
				defer l.mu.Unlock()
				if len(l.open) != 0 {
					t.Errorf("at last there are %v", l.open)
				}
			}
		})
	}
}

// TestNetworkOf: what counts as one.
func TestNetworkOf(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%lo": "fe80::/64",
	} {
		if got, _ := networkOf(net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 1))); got.String() != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
}
