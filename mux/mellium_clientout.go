package mux

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
)

// Route implements [Host]: everything goes to the server.
func (c *ClientSession) Route(_ context.Context, it *Item) error {
	if err := c.send(it.Stanza, it.Recipient(), it.Append(nil, NSClient)); err != nil {
		c.Close(err)
	}
	return nil
}

// send has an element written, or HandleXMPP write it if it is what that waits for.
func (c *ClientSession) send(s *Stanza, to Address, p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	req := c.req
	if s.kind == IQ && (s.typ == "result" || s.typ == "error") {
		if req != nil && req.xml == nil && c.answers(req, s.id, to) {
			req.xml = p
			close(req.done)
			return nil
		}
		for late := range c.late {
			if c.answers(&late, s.id, to) {
				delete(c.late, late)
				return nil
			}
		}
	}
	if req == nil || req.xml == nil {
		return c.conn.Write(p)
	}
	if len(req.behind)+len(p) > c.m.opt.MaxQueue {
		return ErrOverflow
	}
	req.behind = append(req.behind, p...)
	return nil
}

// answers reports whether an answer with that id and addressee is one to req;
// the server's own requests may come from nobody.
func (c *ClientSession) answers(req *request, id string, to Address) bool {
	return id == req.id && (to == req.from || req.from.IsZero() && (to == c.self || to == c.self.Bare()))
}

// Local implements [Host]: nothing is, everything is the server's.
func (c *ClientSession) Local(string) bool { return false }

// Account implements [Host].
func (c *ClientSession) Account(a Address) (exists, known bool) { return a == c.self.Bare(), true }

// LoadAccount implements [Host].
func (c *ClientSession) LoadAccount(_ context.Context, a Address) (bool, error) {
	return a == c.self.Bare(), nil
}

// Write implements [Conn], for what is put into the session itself.
func (c *ClientSession) Write(p []byte) error {
	d := xml.NewDecoder(bytes.NewReader(p))
	d.DefaultSpace = NSClient
	for {
		t, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if start, ok := t.(xml.StartElement); ok {
			s, err := FromTokens(start, d)
			if err != nil {
				return err
			}
			if err := c.send(s, s.to, s.Append(nil, NSClient)); err != nil {
				return err
			}
		}
	}
}

// Pending implements [Conn].
func (c *ClientSession) Pending() int { return c.conn.Pending() }
