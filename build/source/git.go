package source

import (
	"fmt"
	"path"
	"strings"
	"unicode"

	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/gitutil"

	"github.com/mica-build/mica/errs"
)

// GitRequest names a tree in a git repository.
type GitRequest struct {
	// URL is the identifier of an LLB git source without its "git://":
	// host and path, then optionally "#ref" or "#ref:subdir". A full URL or
	// scp's form is taken too.
	URL string
	// Attrs are the "git." attributes of an LLB source operation. Unknown ones
	// are ignored; those that ask for signature checks or bundles are errors
	// that match errs.ErrUnsupported.
	Attrs map[string]string
}

// GitResult pins a request.
type GitResult struct {
	// Commit is the commit's id in hexadecimal, of 40 or 64 digits. Where a
	// request names an object by id, that is taken for a commit unseen.
	Commit string
	// Object is what the ref names: an annotated tag's own id, else Commit.
	Object string
	// Ref is the full name that was found, as refs/heads/main, or the object's
	// id where the request names one.
	Ref string
	// Key is the canonical form of everything that decides what CheckoutGit
	// writes; equal keys mean equal trees.
	Key string
}

// gitSpec is a request, decoded.
type gitSpec struct {
	remote         remote
	ref            string
	subdir         string // clean, "." for the whole tree
	checksum       string
	keepGitDir     bool
	skipSubmodules bool
	fetchByCommit  bool
	mtimeCommit    bool
	tokenSecret    string
	headerSecret   string
	knownHosts     string
	sshID          string
}

func (c *Client) parseGit(r GitRequest) (gitSpec, error) {
	s, err := parseGitURL(r.URL, r.Attrs[pb.AttrFullRemoteURL], c.AllowLocal)
	if err != nil {
		return s, err
	}
	for k, v := range r.Attrs {
		if err := s.set(k, v); err != nil {
			return s, err
		}
	}
	if err := checkRef(s.ref); err != nil {
		return s, err
	}
	if s.checksum != "" && (len(s.checksum) > 64 || strings.Trim(s.checksum, "0123456789abcdef") != "") {
		return s, fmt.Errorf("git checksum %q: want the hexadecimal id of a commit: %w", s.checksum, errs.ErrInvalid)
	}
	return s, nil
}

// parseGitURL reads an identifier. The full URL, where given, must name the same
// repository and says how to reach it.
func parseGitURL(id, full string, local bool) (gitSpec, error) {
	base, fragment, _ := strings.Cut(id, "#")
	ref, subdir, _ := strings.Cut(fragment, ":")
	subdir = strings.TrimPrefix(path.Join("/", subdir), "/")
	if subdir == "" {
		subdir = "."
	}
	if strings.ContainsRune(subdir, 0) {
		return gitSpec{}, fmt.Errorf("git subdirectory %q: %w", subdir, errs.ErrInvalid)
	}
	r, err := parseRemote(withScheme(base), local)
	if err != nil {
		return gitSpec{}, err
	}
	if full != "" {
		f, err := parseRemote(withScheme(full), local)
		if err != nil {
			return gitSpec{}, err
		}
		if !strings.EqualFold(f.host, r.host) || f.repository() != r.repository() {
			return gitSpec{}, fmt.Errorf("git remote %s is not the source's %s: %w", f.url, r.url, errs.ErrInvalid)
		}
		r = f
	}
	return gitSpec{remote: r, ref: ref, subdir: subdir}, nil
}

func withScheme(s string) string {
	if _, local := localPath(s); local || gitutil.IsGitTransport(s) || strings.Contains(s, "::") {
		return s
	}
	if strings.Contains(s, "://") {
		return s
	}
	return "https://" + s
}

// repository is the path by which the repository is compared: spelling with and
// without .git, and as URL or for scp, names the same one.
func (r remote) repository() string {
	p := strings.TrimPrefix(r.url, "file://")
	if u, err := gitutil.ParseURL(r.url); err == nil {
		p = u.Path
	}
	return strings.TrimSuffix(path.Join("/", p), ".git")
}

func (s *gitSpec) set(k, v string) error {
	on := v == "true"
	switch k {
	case pb.AttrKeepGitDir:
		s.keepGitDir = on
	case pb.AttrGitSkipSubmodules:
		s.skipSubmodules = on
	case pb.AttrGitFetchByCommit:
		s.fetchByCommit = on
	case pb.AttrGitChecksum:
		s.checksum = strings.ToLower(v)
	case pb.AttrAuthTokenSecret:
		s.tokenSecret = v
	case pb.AttrAuthHeaderSecret:
		s.headerSecret = v
	case pb.AttrKnownSSHHosts:
		s.knownHosts = v
	case pb.AttrMountSSHSock:
		s.sshID = v
	case pb.AttrGitMTime:
		if v != "" && v != "checkout" && v != "commit" {
			return fmt.Errorf("git mtime %q: want checkout or commit: %w", v, errs.ErrInvalid)
		}
		s.mtimeCommit = v == "commit"
	case pb.AttrGitBundle, pb.AttrGitCheckoutBundle,
		pb.AttrGitSignatureVerifyPubKey, pb.AttrGitSignatureVerifyRejectExpired,
		pb.AttrGitSignatureVerifyRequireSignedTag, pb.AttrGitSignatureVerifyIgnoreSignedTag:
		if v != "" && v != "false" {
			return fmt.Errorf("git source with attribute %s: %w", k, errs.ErrUnsupported)
		}
	}
	return nil
}

// checkRef refuses what cannot be the name of a ref, above all what git would
// read as an option, a pattern or an expression. See git-check-ref-format(1).
func checkRef(ref string) error {
	bad := strings.HasPrefix(ref, "-") || strings.HasSuffix(ref, "/") || strings.HasSuffix(ref, ".lock") || strings.HasSuffix(ref, ".") ||
		strings.Contains(ref, "..") || strings.Contains(ref, "@{") || strings.Contains(ref, "//") ||
		strings.ContainsAny(ref, " ~^:?*[\\") || strings.ContainsFunc(ref, unicode.IsControl)
	if bad {
		return fmt.Errorf("git ref %q: not the name of a ref: %w", ref, errs.ErrInvalid)
	}
	return nil
}

// key is the form BuildKit gives its cache key for a checkout of object id.
func (s gitSpec) key(id, ref string) string {
	k := id
	if s.keepGitDir {
		k += ".git"
		if ref != "" {
			k += "#" + ref
		}
	}
	if s.subdir != "." {
		k += ":" + s.subdir
	}
	if s.skipSubmodules {
		k += "(skip-submodules)"
	}
	if s.mtimeCommit {
		k += "(mtime=commit)"
	}
	return "git " + k
}
