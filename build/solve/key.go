package solve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/mica-build/mica/store"
)

// keyVersion changes whenever the meaning of a preimage does: old records are
// then never found again.
const keyVersion = 1

// Keys are the preimages of one step's cache keys.
type Keys struct {
	// Definition is hashed to the fast key. It must marshal to JSON.
	Definition *Preimage
	// Content gives the preimage in which what the step reads stands by
	// content. It is asked only after a miss of Definition; nil when there is
	// no input that could be keyed so.
	Content func() (*Preimage, error)
	// Stable says, once the step ran, whether its inputs are still what the
	// keys were made of; nil when they cannot change. The result of a step
	// whose live input changed meanwhile is used and not remembered.
	Stable func(ctx context.Context) (bool, error)
	// Type and Description go into the record.
	Type, Description string
}

// A Preimage is what a key is the hash of. Its JSON is kept in the record, so
// that a miss can be explained by comparing two of them.
type Preimage struct {
	Version int        `json:"v"`
	Kind    string     `json:"kind"` // exec, file, git, http, image ...
	Op      any        `json:"op"`
	Inputs  []InputKey `json:"inputs,omitempty"`
}

// An InputKey stands for one input in a preimage: by its own key, or by the
// content of what the step reads of it.
type InputKey struct {
	Key     store.Key `json:"key,omitempty"`
	Content string    `json:"content,omitempty"`
	Name    string    `json:"name,omitempty"`
}

// NewPreimage makes a preimage of the current version.
func NewPreimage(kind string, op any, inputs ...InputKey) *Preimage {
	return &Preimage{Version: keyVersion, Kind: kind, Op: op, Inputs: inputs}
}

// Key hashes p. The JSON is canonical because its maps are written in key order.
func (p *Preimage) Key() (store.Key, []byte, error) {
	raw, err := json.Marshal(p)
	if err != nil {
		return "", nil, fmt.Errorf("cache key of %s: %w", p.Kind, err)
	}
	sum := sha256.Sum256(raw)
	return store.Key(hex.EncodeToString(sum[:])), raw, nil
}

// Hash is the key of a preimage that cannot fail to marshal: strings only.
func Hash(kind string, parts ...string) store.Key {
	k, _, err := NewPreimage(kind, parts).Key()
	if err != nil {
		panic(err)
	}
	return k
}
