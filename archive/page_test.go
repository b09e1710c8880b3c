package archive

import (
	"strconv"
	"testing"
)

// counting is a Reader of as many messages as it says that tells how many were read.
type counting struct {
	memory
	read int
}

func (c *counting) Read(r Range, yield func(pos int64, e Entry) bool) error {
	return c.memory.Read(r, func(pos int64, e Entry) bool {
		c.read++
		return yield(pos, e)
	})
}

// TestNamedReadsPage: of messages that are wanted by their IDs only those of the page
// are read, and the one behind it.
func TestNamedReadsPage(t *testing.T) {
	t.Parallel()
	c := &counting{memory: memory{first: 1, ids: make(map[string]int64)}}
	var ids []string
	for i := range 100 {
		id := strconv.Itoa(i)
		c.entries = append(c.entries, Entry{ID: id, Stanza: make([]byte, 100)})
		c.ids[id] = int64(i + 1)
		ids = append(ids, id)
	}
	for _, backward := range []bool{false, true} {
		c.read = 0
		p, err := ReadPage(c, Query{IDs: ids, Max: 50, Bytes: 500, Backward: backward})
		if err != nil || len(p.Entries) != 5 || !p.More || p.Count != 100 {
			t.Errorf("%d messages of %d, more %t, error %v", len(p.Entries), p.Count, p.More, err)
		}
		if c.read != 6 {
			t.Errorf("%d messages were read", c.read)
		}
	}
}
