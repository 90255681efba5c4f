//go:build linux

package layer

import "testing"

func TestSole(t *testing.T) {
	low, top := newMaker(t), newMaker(t)
	low.mkdir("both", 0o755)
	low.file("both/low", "", 0o644)
	low.mkdir("both/sub", 0o755)
	low.file("both/sub/x", "", 0o644)
	low.file("both/gone", "", 0o644)
	low.file("f", "", 0o644)
	low.symlink("l", "both")
	low.mkdir("opaque", 0o755)
	low.file("opaque/hidden", "", 0o644)
	low.mkdir("back", 0o755)
	top.mkdir("both", 0o755)
	top.file("both/top", "", 0o644)
	top.whiteout("both/gone")
	top.mkdir("opaque", 0o755)
	top.opaque("opaque")
	top.mkdir("new", 0o755)
	top.file("back", "", 0o644)
	lowers := []string{low.dir, top.dir}
	for path, want := range map[string]string{
		"": "", "/": "", "both": "", "/both/": "", "both/low": low.dir, "/both/top": top.dir, "both/sub": low.dir,
		"both/sub/x": low.dir, "both/./sub": low.dir, "both/gone": "", "f": low.dir, "f/": low.dir, "f/x": "", "f/x/f": "",
		"l": "", "l/low": "", "opaque": top.dir, "opaque/hidden": "", "new": top.dir, "back": top.dir, "none": "", "none/x": "",
		"..": "", "both/../f": "", "new/../../x": "",
	} {
		where, ok, err := Sole(lowers, path)
		if err != nil || ok != (want != "") || ok && where != want {
			t.Errorf("%q comes from %q, %v, %v; want %q", path, where, ok, err, want)
		}
	}
	for _, path := range []string{"", "/", "both/"} {
		if where, ok, err := Sole(lowers[:1], path); where != low.dir || !ok || err != nil {
			t.Errorf("of one tree, %q comes from %q, %v, %v", path, where, ok, err)
		}
	}
	if _, ok, err := Sole(nil, "/"); ok || err != nil {
		t.Errorf("no trees: %v, %v", ok, err)
	}
}
