package memory_test

import (
	"testing"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/contenttest"
	"github.com/mica-build/mica/content/memory"
)

func TestStore(t *testing.T) {
	contenttest.Store(t, func(testing.TB) content.Store { return memory.New() })
}
