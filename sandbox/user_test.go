//go:build linux

package sandbox

import "testing"

func FuzzFindUser(f *testing.F) {
	f.Add("bob:audio", "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1001::/home/bob:\n", "audio:x:29:bob\n")
	f.Add("", "", "")
	f.Add("root", ":::::\n", "::::")
	f.Add("4294967296:-1", "a:b:c", "x:y:z:w")
	f.Add("bob", "bob:x:4294967296:4294967296::/:\n", "x:x:-1:bob\n")
	f.Fuzz(func(t *testing.T, spec, passwd, group string) {
		id, err := findUser(spec, []byte(passwd), []byte(group))
		if err != nil {
			return
		}
		if len(id.groups) == 0 || id.groups[0] != id.gid {
			t.Errorf("groups %v do not begin with %d", id.groups, id.gid)
		}
		if id.uid > 1<<31-1 || id.gid > 1<<31-1 {
			t.Errorf("ids out of range: %d:%d", id.uid, id.gid)
		}
		for _, g := range id.groups {
			if g > 1<<31-1 {
				t.Errorf("group out of range: %d", g)
			}
		}
		if homeOf(id.uid, []byte(passwd)) == "" {
			t.Error("no home")
		}
	})
}
