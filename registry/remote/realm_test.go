package remote

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestDisguise(t *testing.T) {
	at := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 443} }
	for _, tt := range []struct {
		name      string
		from      net.Addr
		challenge string
		want      string // after the disguise; "" is as it was
	}{
		{"in the company", at("10.1.2.3"), `Bearer realm="https://auth.corp/token?a=b",service="x"`, `Bearer realm="https://registry.corp/.realm/0",service="x"`},
		{"in the company, IPv6", at("fd00::1"), `bearer service="x", Realm="https://auth.corp/token"`, `bearer service="x", Realm="https://registry.corp/.realm/0"`},
		{"on the internet", at("8.8.8.8"), `Bearer realm="https://auth.corp/token"`, ""},
		{"nobody knows where", nil, `Bearer realm="https://auth.corp/token"`, ""},
		{"the registry itself", at("10.1.2.3"), `Bearer realm="https://registry.corp:8443/token"`, ""},
		{"not secure", at("10.1.2.3"), `Bearer realm="http://auth.corp/token"`, ""},
		{"metadata of a cloud", at("10.1.2.3"), `Bearer realm="https://169.254.169.254/token"`, ""},
		{"basic", at("10.1.2.3"), `Basic realm="https://auth.corp/token"`, ""},
		{"cut", at("10.1.2.3"), `Bearer realm="https://auth.corp/token`, ""},
		{"none", at("10.1.2.3"), `Bearer service="x"`, ""},
		{"quoted", at("10.1.2.3"), `Bearer realm="https://auth.corp/\"token"`, ""},
	} {
		if tt.want == "" {
			tt.want = tt.challenge
		}
		var k realms
		req := httptest.NewRequest(http.MethodGet, "https://registry.corp/v2/", nil)
		resp := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {tt.challenge}}}
		k.disguise(req, resp, tt.from)
		if got := resp.Header.Get("WWW-Authenticate"); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestReal undoes the disguise of what was disguised, and of nothing else.
func TestReal(t *testing.T) {
	var k realms
	req := httptest.NewRequest(http.MethodGet, "https://registry.corp/v2/", nil)
	for range 2 {
		resp := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {`Bearer realm="https://auth.corp/token?a=b"`}}}
		k.disguise(req, resp, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)})
	}
	for in, want := range map[string]string{
		"https://registry.corp/.realm/0?scope=x": "https://auth.corp/token?a=b&scope=x",
		"https://registry.corp/.realm/1?scope=x": "https://registry.corp/.realm/1?scope=x",
		"https://registry.corp/.realm/-1":        "https://registry.corp/.realm/-1",
		"https://registry.corp/v2/":              "https://registry.corp/v2/",
		"https://registry.corp/0":                "https://registry.corp/0",
	} {
		if got := k.real(httptest.NewRequest(http.MethodGet, in, nil)).URL.String(); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}
