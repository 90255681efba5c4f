package access

import (
	"sync"
	"time"
)

const (
	maxFailures = 20          // of one address
	failWindow  = time.Minute // in this time
	maxClients  = 100_000     // that are remembered
)

// failures count wrong passwords, so that they cannot be guessed fast.
type failures struct {
	mu sync.Mutex
	by map[string][]time.Time
}

func (f *failures) add(client string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil || len(f.by) > maxClients {
		f.by = map[string][]time.Time{}
	}
	f.by[client] = append(f.recent(client), time.Now())
}

// recent drops what is too long ago.
func (f *failures) recent(client string) []time.Time {
	list := f.by[client]
	for len(list) > 0 && time.Since(list[0]) > failWindow {
		list = list[1:]
	}
	return list
}

// wait is how long a client has to wait before it may try again; 0 is not at all.
func (f *failures) wait(client string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.recent(client)
	if len(list) < maxFailures {
		return 0
	}
	return failWindow - time.Since(list[0])
}
