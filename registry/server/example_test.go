package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/mica-build/mica/registry/server"
)

// A registry for a test takes three lines.
func Example() {
	srv := httptest.NewServer(server.New(server.NewMemory(), server.Options{}))
	defer srv.Close()
	host := srv.Listener.Addr().String() // push to and pull from host + "/name:tag"

	resp, err := http.Get("http://" + host + "/v2/")
	if err != nil {
		panic(err)
	}
	resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}
