package smacks

import "sync"

// calls runs functions one after another on a goroutine that lives as long as there
// are some. The zero value is ready.
type calls struct {
	mu   sync.Mutex
	list []func()
	runs bool
}

func (q *calls) add(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, f)
	if !q.runs {
		q.runs = true
		go q.run()
	}
}

func (q *calls) run() {
	for {
		q.mu.Lock()
		if len(q.list) == 0 {
			q.runs = false
			q.mu.Unlock()
			return
		}
		f := q.list[0]
		q.list = q.list[1:]
		q.mu.Unlock()
		f()
	}
}
