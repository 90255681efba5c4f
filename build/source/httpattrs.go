package source

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
)

// httpAttrs are the attributes of an HTTP source, decoded.
type httpAttrs struct {
	checksum   digest.Digest
	filename   string
	perm       uint32
	uid, gid   int
	authSecret string
	header     []headerField
}

type headerField struct{ Name, Value string }

// parseHTTPAttrs decodes LLB attributes. Those that ask for a signature check
// are refused, since ignoring them would drop a check; unknown ones and headers
// other than Accept and User-Agent are ignored, as BuildKit does.
func parseHTTPAttrs(attrs map[string]string) (httpAttrs, error) {
	var a httpAttrs
	for k, v := range attrs {
		if err := a.set(k, v); err != nil {
			return httpAttrs{}, fmt.Errorf("attribute %s=%q: %w", k, v, err)
		}
	}
	slices.SortFunc(a.header, func(x, y headerField) int { return strings.Compare(x.Name, y.Name) })
	return a, nil
}

func (a *httpAttrs) set(k, v string) error {
	switch k {
	case pb.AttrHTTPChecksum:
		d, err := digest.Parse(v)
		if err != nil {
			return fmt.Errorf("%w: %w", errs.ErrInvalid, err)
		}
		if d.Algorithm() != digest.SHA256 {
			return fmt.Errorf("only sha256 checksums are supported: %w", errs.ErrUnsupported)
		}
		a.checksum = d
	case pb.AttrHTTPFilename:
		a.filename = v
	case pb.AttrHTTPPerm:
		n, err := parseNumber(v, 0o7777)
		a.perm = uint32(n)
		return err
	case pb.AttrHTTPUID:
		n, err := parseNumber(v, maxID)
		a.uid = n
		return err
	case pb.AttrHTTPGID:
		n, err := parseNumber(v, maxID)
		a.gid = n
		return err
	case pb.AttrHTTPAuthHeaderSecret:
		a.authSecret = v
	case pb.AttrHTTPSignatureVerify, pb.AttrHTTPSignatureVerifyPubKey:
		return fmt.Errorf("signature check of downloads: %w", errs.ErrUnsupported)
	default:
		name, ok := strings.CutPrefix(k, pb.AttrHTTPHeaderPrefix)
		if name = http.CanonicalHeaderKey(name); ok && (name == "Accept" || name == "User-Agent") {
			a.header = append(a.header, headerField{name, v})
		}
	}
	return nil
}

// maxID is the largest user or group id; the one above means "leave as it is".
const maxID = 1<<32 - 2

func parseNumber(s string, limit int64) (int, error) {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil || n < 0 || n > limit {
		return 0, fmt.Errorf("want a number from 0 to %d: %w", limit, errs.ErrInvalid)
	}
	return int(n), nil
}
