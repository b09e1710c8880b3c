package smacks

// settle decides what becomes of stanzas whose session is over, without any lock held,
// and returns those that are to be sent again. Until the next session has begun they
// are in the state of the old one.
func (c *Client) settle(l *login) (resend []Pending) {
	c.mu.Lock()
	if l.resumed != nil {
		c.mu.Unlock()
		return nil
	}
	if l.known != nil && c.on && !c.state.unsent(*l.known) {
		_ = c.acked(*l.known) // one that makes no sense says nothing
	}
	if c.alive {
		c.alive = false
		c.tell(ClientEvent{Kind: SessionLost, Err: ErrSessionLost})
	}
	old := append([]Pending(nil), c.state.Unacked...)
	c.state.Token = ""
	c.mu.Unlock()
	var failed []Pending
	for _, p := range old {
		switch c.opt.OnDropped(p) {
		case Resend:
			resend = append(resend, p)
			continue
		case Discard:
		default:
			failed = append(failed, p)
		}
		c.mu.Lock()
		p.resolve(ErrDropped)
		c.mu.Unlock()
	}
	if f := c.opt.OnFailed; f != nil && len(failed) > 0 {
		c.told.add(func() { f(failed) })
	}
	return resend
}
