package avatar

// Waiting is how many sessions wait until they may be told again, for the tests.
func (x *Extension) Waiting() int {
	x.later.mu.Lock()
	defer x.later.mu.Unlock()
	return len(x.later.by)
}
