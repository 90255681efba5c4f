package remote_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/memory"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/registry/remote"
	"github.com/mica-build/mica/registry/server"
)

// Push an image and pull it again.
func Example() {
	ctx := context.Background()
	reg := httptest.NewServer(server.New(server.NewMemory(), server.Options{}))
	defer reg.Close()

	local := memory.New()
	config := local.Add(image.MediaTypeConfig, []byte(`{}`))
	manifest := local.Add(image.MediaTypeManifest, fmt.Appendf(nil,
		`{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`,
		config.MediaType, config.Digest, config.Size))
	if err := local.Tag(ctx, "mine", manifest); err != nil {
		fmt.Println(err)
		return
	}

	r, err := ref.Parse(reg.Listener.Addr().String() + "/team/app:v1")
	if err != nil {
		fmt.Println(err)
		return
	}
	client := remote.New(remote.Options{UserAgent: "example/1.0"})
	if _, err := content.CopyName(ctx, client.Repository(r), r.Tag, local, "mine", content.CopyOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	pulled := memory.New()
	root, err := content.CopyName(ctx, pulled, r.String(), client.Repository(r), r.Identifier(), content.CopyOptions{})
	fmt.Println(root.Digest == manifest.Digest, err)
	// Output: true <nil>
}
