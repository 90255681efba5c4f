package cli

import (
	"github.com/mica-build/mica/build"
	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/sandbox"
)

// builder makes a builder on the chosen store.
func (a *app) builder() (*build.Builder, error) {
	e, err := a.engine()
	if err != nil {
		return nil, err
	}
	a.collector.Start(e)
	return build.New(e.Store(), build.Options{
		Runner:   a.sandbox(),
		Mounter:  newMounter(e.Store()),
		Registry: func(r ref.Ref) (content.Store, error) { return e.Registry().Repository(r), nil },
		Offline:  func() string { why, _ := a.hosts.Offline(); return why },
		TagTTL:   a.hosts.tagTTL,
		Version:  version,
	}), nil
}

// sandbox makes what runs processes.
func (a *app) sandbox() *sandbox.Runner {
	return &sandbox.Runner{SharedProc: a.steps.sharedProc, CABundle: a.steps.caBundle}
}
