package event

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEvents(t *testing.T) {
	root := t.TempDir()
	read := func(o Options) (actions []string) {
		t.Helper()
		err := Read(t.Context(), root, o, func(e Event) error {
			actions = append(actions, e.Action)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return actions
	}
	if got := read(Options{}); got != nil {
		t.Errorf("of nothing: %q", got)
	}
	for i := range 4 {
		if err := Add(root, Event{Type: "container", Action: fmt.Sprint(i), Time: time.Unix(int64(i), 0)}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"1", "2"}, read(Options{Since: time.Unix(1, 0), Until: time.Unix(2, 0)})); diff != "" {
		t.Error(diff)
	}
	f, err := os.OpenFile(filepath.Join(root, "events.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "no event\n{\"half")
	f.Close()
	if diff := cmp.Diff([]string{"0", "1", "2", "3"}, read(Options{})); diff != "" {
		t.Error(diff)
	}
}

// TestFollow reads events while the file is replaced.
func TestFollow(t *testing.T) {
	root := t.TempDir()
	go func() {
		for i := range 40 {
			_ = Add(root, Event{Action: fmt.Sprint(i), Time: time.Now(), Actor: Actor{ID: string(make([]byte, 20<<10))}})
			time.Sleep(5 * time.Millisecond)
		}
		_ = Add(root, Event{Action: "last", Time: time.Now()})
	}()
	enough := errors.New("enough")
	n := 0
	err := Read(t.Context(), root, Options{Follow: true, Since: time.Unix(1, 0)}, func(e Event) error {
		n++
		if e.Action == "last" {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n < 30 {
		t.Errorf("%v after %d events", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Read(ctx, root, Options{Follow: true}, func(Event) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("{\"Action\":\"x\"}\n{"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "events.log"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Read(t.Context(), root, Options{}, func(Event) error { return nil }); err != nil {
			t.Error(err)
		}
	})
}
