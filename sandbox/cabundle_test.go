//go:build linux

package sandbox

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestCABundle checks what a process sees of further certificates, and that
// nothing of them stays.
func TestCABundle(t *testing.T) {
	const extra = "-----EXTRA-----\n"
	for _, tt := range []struct {
		name   string
		files  map[string]string // path to content; "-> x" is a link
		env    []string
		script string
		want   string
	}{
		{
			name:   "debian",
			files:  map[string]string{"etc/ssl/certs/ca-certificates.crt": "old"},
			script: "cat /etc/ssl/certs/ca-certificates.crt; env | grep -c mica-ca; test ! -e /run/mica-ca.pem",
			want:   "old\n" + extra + "0\n",
		},
		{
			name:   "alpine",
			files:  map[string]string{"etc/ssl/certs/ca-certificates.crt": "old", "etc/ssl/cert.pem": "-> certs/ca-certificates.crt"},
			script: "cat /etc/ssl/cert.pem; grep -c EXTRA /etc/ssl/certs/ca-certificates.crt",
			want:   "old\n" + extra + "1\n",
		},
		{
			name: "fedora",
			files: map[string]string{
				"etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem": "old",
				"etc/pki/tls/certs/ca-bundle.crt":                  "-> /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
			},
			script: "cat /etc/pki/tls/certs/ca-bundle.crt; ! echo x > /etc/pki/tls/certs/ca-bundle.crt",
			want:   "old\n" + extra,
		},
		{
			name:   "two bundles",
			files:  map[string]string{"etc/ssl/ca-bundle.pem": "a", "etc/ssl/cert.pem": "b"},
			script: "cat /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem",
			want:   "a\n" + extra + "b\n" + extra,
		},
		{
			name:   "none",
			script: "cat $SSL_CERT_FILE $NODE_EXTRA_CA_CERTS; ! echo x > $SSL_CERT_FILE",
			want:   extra + extra,
		},
		{
			name:   "none, but the image has its own variable",
			env:    []string{"SSL_CERT_FILE=/mine"},
			script: "echo $SSL_CERT_FILE $PIP_CERT",
			want:   "/mine /run/mica-ca.pem\n",
		},
		{
			name:   "a link out of the root",
			files:  map[string]string{"etc/ssl/cert.pem": "-> ../../../../../../../../etc/hostname"},
			script: "echo ${SSL_CERT_FILE#/run/}",
			want:   "mica-ca.pem\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := rootfs(t)
			for name, text := range tt.files {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
					t.Fatal(err)
				}
				if target, ok := strings.CutPrefix(text, "-> "); ok {
					if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
						t.Fatal(err)
					}
					continue
				}
				write(t, dir, name, text)
			}
			var out, errOut bytes.Buffer
			err := (&Runner{CABundle: []byte(extra)}).Run(t.Context(), &Spec{
				Root: openDir(t, dir), Args: []string{"/bin/sh", "-c", tt.script}, Env: append(tt.env, "PATH=/bin"),
				Network: None, Stdout: &out, Stderr: &errOut,
			})
			if out.String() != tt.want {
				t.Errorf("got %q, want %q (error %v, stderr %q)", out.String(), tt.want, err, errOut.String())
			}
			for name, text := range tt.files {
				if strings.HasPrefix(text, "-> ") {
					continue
				}
				if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != text {
					t.Errorf("%s is %q now: %v", name, got, err)
				}
			}
			if _, err := os.Lstat(filepath.Join(dir, "run")); err == nil {
				t.Error("/run was left behind")
			}
		})
	}
}

// TestSharedProc checks what the weaker grade shows, and what it does not allow.
func TestSharedProc(t *testing.T) {
	dir := rootfs(t)
	const script = `test $$ = 1 || echo "not first of its pids"
test -d /proc/$OUTSIDE && echo seen
kill -0 $OUTSIDE 2>/dev/null && echo signalled
cat /proc/$OUTSIDE/environ >/dev/null 2>&1 && echo read
(echo x > /proc/sys/kernel/hostname) 2>/dev/null && echo written
cat /proc/timer_list | wc -c; cat /proc/self/comm`
	var out bytes.Buffer
	s := &Spec{
		Root: openDir(t, dir), Args: []string{"/bin/sh", "-c", script}, Network: None, Stdout: &out, Stderr: &out,
		Env: []string{"PATH=/bin", "OUTSIDE=" + strconv.Itoa(os.Getpid())},
	}
	if err := (&Runner{SharedProc: true}).Run(t.Context(), s); err != nil {
		t.Fatal(err, out.String())
	}
	if want := "seen\n0\ncat\n"; out.String() != want {
		t.Errorf("shared /proc: got %q, want %q", out.String(), want)
	}
	out.Reset()
	if err := new(Runner).Run(t.Context(), s); err != nil || out.String() != "0\ncat\n" {
		t.Errorf("own /proc: %q, %v", out.String(), err)
	}
}
