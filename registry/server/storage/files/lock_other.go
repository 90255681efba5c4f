//go:build !unix

package files

import (
	"context"
	"os"
	"sync"

	"github.com/mica-build/mica/internal/fault"
)

// Where there is no flock, one process may use a registry at a time. Locks are
// its own then, one for each path, and all of them exclusive.
var (
	locksMu sync.Mutex
	locks   = map[string]chan struct{}{}
)

type fileLock struct {
	f    *os.File
	held chan struct{}
}

type lock = *fileLock

func lockExclusive(ctx context.Context, path string) (lock, error) {
	locksMu.Lock()
	held := locks[path]
	if held == nil {
		held = make(chan struct{}, 1)
		locks[path] = held
	}
	locksMu.Unlock()
	select {
	case held <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		<-held
		return nil, err
	}
	return &fileLock{f, held}, nil
}

func lockShared(ctx context.Context, path string) (lock, error) { return lockExclusive(ctx, path) }

// File is the locked file.
func (l *fileLock) File() *os.File { return l.f }

// Release gives the lock back.
func (l *fileLock) Release() error {
	err := l.f.Close()
	<-l.held
	return err
}

// Remove deletes the file and gives the lock back.
func (l *fileLock) Remove() error {
	err := l.f.Close()
	if err == nil {
		err = fault.Remove(l.f.Name())
	}
	<-l.held
	return err
}

// claim does nothing: requests of one process are kept apart otherwise.
func claim(*os.File) error { return nil }
