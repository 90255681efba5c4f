package memory_test

import (
	"testing"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/contenttest"
	"github.com/mica-build/mica/content/memory"
)

func TestConformance(t *testing.T) {
	contenttest.Run(t, func(testing.TB) content.Store { return memory.New() })
}
