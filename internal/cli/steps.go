package cli

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/mica-build/mica/errs"
)

// The grades of isolation. docs/rootless.md says what each protects.
const (
	isolationSandbox    = "sandbox"     // everything
	isolationSharedProc = "shared-proc" // the processes around can be seen
)

// stepFlags say how this machine runs the processes of builds and containers.
// They have no part in what an image is.
type stepFlags struct{ isolation, caBundle string }

func (o *stepFlags) addTo(f *pflag.FlagSet) {
	f.StringVar(&o.isolation, "isolation", os.Getenv("MICA_ISOLATION"), "how processes are kept apart: sandbox (default), or shared-proc in containers that allow no /proc of its own (MICA_ISOLATION)")
	f.StringVar(&o.caBundle, "ca-bundle", os.Getenv("MICA_CA_BUNDLE"), "`file` of certificates that processes trust besides those of the image (MICA_CA_BUNDLE)")
}

// stepSettings are what stepFlags come to.
type stepSettings struct {
	sharedProc bool
	caBundle   []byte
}

func (o *stepFlags) read() (s stepSettings, err error) {
	switch o.isolation {
	case "", "default", isolationSandbox:
	case isolationSharedProc:
		s.sharedProc = true
	default:
		return s, fmt.Errorf("--isolation %q: %w: it is %s or %s", o.isolation, errs.ErrInvalid, isolationSandbox, isolationSharedProc)
	}
	if o.caBundle != "" {
		if s.caBundle, err = readCertificates(o.caBundle); err != nil {
			return s, fmt.Errorf("--ca-bundle: %w", err)
		}
	}
	return s, nil
}

// readCertificates reads a file of certificates in PEM. Anything else in it is
// left out, so that a key that lies there too does not get into containers.
func readCertificates(name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var out []byte
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(b.Bytes); err != nil {
			return nil, fmt.Errorf("%s: %w: %w", name, err, errs.ErrInvalid)
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: b.Type, Bytes: b.Bytes})...)
	}
	if out == nil {
		return nil, fmt.Errorf("%s holds no certificate (PEM): %w", name, errs.ErrInvalid)
	}
	return out, nil
}
