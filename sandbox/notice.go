//go:build linux

package sandbox

import (
	"fmt"
	"sync"
)

// notices are told once each by a Runner.
type notices struct {
	mu   sync.Mutex
	told map[string]bool
}

// notice tells the user, where the process's messages go, that something is
// other than asked for.
func (l *launch) notice(text string) {
	n := &l.r.notices
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.told[text] {
		return
	}
	if n.told == nil {
		n.told = map[string]bool{}
	}
	n.told[text] = true
	l.r.log().Warn(text)
	w := l.s.Stderr
	if w == nil {
		w = l.s.Stdout
	}
	if w != nil {
		fmt.Fprintln(w, "WARNING: "+text)
	}
}
