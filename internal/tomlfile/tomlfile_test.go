package tomlfile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/tomlfile"
)

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		text   string
		strict bool
		want   string // in the error
	}{
		{"a = 1\n", true, ""},
		{"a = 1\nb = 2\n", false, ""},
		{"a = 1\nb = 2\n", true, `x.toml:2: there is no setting "b"`},
		{"\na = 'one'\n", true, "x.toml:2:5: "},
		{"[", true, "x.toml:1:"},
	} {
		var v struct {
			A int `toml:"a"`
		}
		err := tomlfile.Decode("x.toml", []byte(tt.text), &v, tt.strict)
		switch {
		case tt.want == "" && (err != nil || v.A != 1):
			t.Errorf("%q: %v, %v", tt.text, v, err)
		case tt.want != "" && (!errors.Is(err, errs.ErrInvalid) || !strings.HasPrefix(err.Error(), tt.want)):
			t.Errorf("%q: error %v, want %q", tt.text, err, tt.want)
		}
	}
}
