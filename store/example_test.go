//go:build linux

package store_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mica-build/mica/store"
)

// A layer is made in a draft, published by Commit and found by its id.
func ExampleStore_NewLayer() {
	root, err := os.MkdirTemp("", "store-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(root)
	s, err := store.Open(filepath.Join(root, "store"), store.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	ctx := context.Background()
	draft, err := s.NewLayer(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer draft.Discard() // nothing, once it is committed
	if err := os.WriteFile(filepath.Join(draft.Dir, "hello"), []byte("hello\n"), 0o644); err != nil {
		log.Fatal(err)
	}
	made, err := draft.Commit(ctx)
	if err != nil {
		log.Fatal(err)
	}
	found, err := s.Layer(ctx, made.ID)
	if err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(found.Dir, "hello"))
	fmt.Print(string(text), err)
	// Output:
	// hello
	// <nil>
}
