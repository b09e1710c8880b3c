package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// setHTTPURL wants https, but where only this machine is meant.
func setHTTPURL(c *Config, value string) error {
	c.HTTPURL = ""
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "",
		u.User != nil, u.RawQuery != "", u.ForceQuery, strings.Contains(value, "#"), u.EscapedPath() != u.Path:
		return fmt.Errorf("%q: want the address of web pages, such as https://example.org", value)
	case u.Scheme == "http" && !IsLoopback(net.JoinHostPort(u.Hostname(), "0")):
		return fmt.Errorf("%q: want https, since passwords are typed there", value)
	}
	c.HTTPURL = strings.TrimRight(value, "/")
	return nil
}

// setHTTPProxies takes a list of addresses and networks apart.
func setHTTPProxies(c *Config, value string) error {
	c.HTTPProxies = nil
	if strings.TrimSpace(value) == "" {
		return nil
	}
	for text := range strings.SplitSeq(value, ",") {
		text = strings.TrimSpace(text)
		network, err := netip.ParsePrefix(text)
		if err != nil {
			address, err := netip.ParseAddr(text)
			if err != nil || address.Zone() != "" {
				return fmt.Errorf("%q: want an address such as 192.0.2.1, or a network such as 2001:db8::/32", text)
			}
			address = address.Unmap()
			network = netip.PrefixFrom(address, address.BitLen())
		}
		c.HTTPProxies = append(c.HTTPProxies, network.Masked())
	}
	return nil
}

// WebURL is the public address of the web pages, if the listener for them has the given
// address, or is not open for an empty one; empty if it is not known. Pages on the loopback interface
// alone are nothing to invite people with, unless the whole server is for trials there.
func (c *Config) WebURL(listener string) string {
	_, port, err := net.SplitHostPort(listener)
	switch {
	case c.HTTP == "":
		return ""
	case c.HTTPURL != "":
		return c.HTTPURL
	case err != nil, port == "0": // chosen anew at each start
		return ""
	case IsLoopback(c.HTTP):
		host, _, err := net.SplitHostPort(c.HTTP)
		if err != nil || !c.allLoopback() {
			return ""
		}
		return "http://" + net.JoinHostPort(host, port)
	}
	host := c.Domains[0]
	if !strings.HasPrefix(host, "[") {
		if host, err = idna.ToASCII(host); err != nil {
			return ""
		}
	}
	if port == "443" {
		return "https://" + host
	}
	return "https://" + host + ":" + port
}
