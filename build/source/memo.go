package source

import "sync"

// A memo holds what servers said in the life of one client. The zero value is
// ready for use.
type memo[T any] struct {
	mu   sync.Mutex
	said map[string]T
}

func (m *memo[T]) recall(key string) (T, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.said[key]
	return v, ok
}

func (m *memo[T]) note(key string, v T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.said == nil {
		m.said = map[string]T{}
	}
	m.said[key] = v
}
