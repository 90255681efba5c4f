package cli

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/ui/progress"
)

// addTo declares the flags of `mica build`.
func (o *buildOptions) addTo(f *pflag.FlagSet) {
	o.addWhat(f)
	o.addHow(f)
	o.addResult(f)
	o.later.addTo(f)
	o.ignored.addTo(f)
}

func (o *buildOptions) addWhat(f *pflag.FlagSet) {
	f.StringVarP(&o.dockerfile, "file", "f", "", "the Dockerfile: a path, a URL or - (default Dockerfile in the context)")
	f.StringArrayVarP(&o.tags, "tag", "t", nil, "name the image `name[:tag]`; may be repeated")
	f.StringVar(&o.target, "target", "", "stage to build (default the last one)")
	f.StringArrayVar(&o.buildArgs, "build-arg", nil, "value of an ARG, `NAME=VALUE`, or NAME to take it from the environment")
	f.StringArrayVar(&o.platforms, "platform", nil, "platforms to build for, `os/arch[/variant]`, with commas or repeated")
	f.StringArrayVar(&o.labels, "label", nil, "label of the image, `key=value`")
	f.StringArrayVar(&o.annotations, "annotation", nil, "annotation, `[type[platform]:]key=value`")
	f.StringArrayVar(&o.buildContexts, "build-context", nil, "further context, `name=path`, URL, docker-image:// or oci-layout://")
	f.StringArrayVar(&o.secrets, "secret", nil, "secret for the build, `id=name[,src=file|,env=variable]`")
	f.StringArrayVar(&o.ssh, "ssh", nil, "ssh agent socket or keys for the build, `default|id[=socket|key,key]`")
	f.StringArrayVar(&o.allow, "allow", nil, "entitlement for the build: network.host, security.insecure or buildx.local.delete")
}

func (o *buildOptions) addHow(f *pflag.FlagSet) {
	f.BoolVar(&o.noCache, "no-cache", false, "run every step anew")
	f.StringArrayVar(&o.noCacheFilter, "no-cache-filter", nil, "run every step of these `stages` anew")
	f.BoolVar(&o.pull, "pull", false, "ask the registry for base images even if they are in the store")
	f.StringVar(&o.network, "network", "", "network of RUN steps: default, none or host")
	f.StringArrayVar(&o.addHosts, "add-host", nil, "line for /etc/hosts of RUN steps, `host:ip`")
	f.BoolVar(&o.reproducible, "reproducible", false, "same inputs, same digest: settle all times")
	o.limits.addTo(f)
	o.steps.addTo(f)
}

func (o *buildOptions) addResult(f *pflag.FlagSet) {
	f.StringArrayVarP(&o.outputs, "output", "o", nil, "where the result goes: a `directory`, - or type=local|tar|oci|docker|image|registry|cacheonly,…")
	f.BoolVar(&o.load, "load", false, "put the image into the local store (what happens without --output too)")
	f.BoolVar(&o.push, "push", false, "push the image to its registry after the build")
	f.StringVar(&o.iidFile, "iidfile", "", "write the image ID to this `file`")
	f.StringVar(&o.metadataFile, "metadata-file", "", "write what was built to this `file`, as JSON")
	f.StringVar(&o.progress, "progress", "", "how progress is shown: "+progress.Names()+" (BUILDKIT_PROGRESS)")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print the image ID and nothing else")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would run and why, what is cached and what would be pulled; build nothing")
	f.BoolVar(&o.requireCache, "require-cached", false, "run no step: fail and say why if one is not in the cache")
	f.StringVar(&o.call, "call", "build", "what to do: build, check, outline, targets or subrequests.describe, with ,format=json")
	f.BoolVar(&o.check, "check", false, "check the Dockerfile and build nothing, as --call=check")
}

// laterFlags belong to things that mica does not have yet.
type laterFlags struct {
	cacheFrom, cacheTo, attest, policy []string
	provenance, sbom                   string
}

func (l *laterFlags) addTo(f *pflag.FlagSet) {
	f.StringArrayVar(&l.cacheFrom, "cache-from", nil, "import cache (in a later release)")
	f.StringArrayVar(&l.cacheTo, "cache-to", nil, "export cache (in a later release)")
	f.StringArrayVar(&l.attest, "attest", nil, "attestations (in a later release)")
	f.StringVar(&l.provenance, "provenance", "", "provenance attestation (in a later release; false is accepted)")
	f.StringVar(&l.sbom, "sbom", "", "SBOM attestation (in a later release; false is accepted)")
	f.StringArrayVar(&l.policy, "policy", nil, "source policy (in a later release)")
	for _, name := range []string{"cache-from", "cache-to", "attest", "provenance", "sbom", "policy"} {
		must(f.MarkHidden(name))
	}
}

// check refuses what is asked for and not there; switching it off is fine.
func (l *laterFlags) check() error {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"cache-from", len(l.cacheFrom) > 0},
		{"cache-to", len(l.cacheTo) > 0},
		{"attest", !allDisabled(l.attest)},
		{"provenance", !isOff(l.provenance)},
		{"sbom", !isOff(l.sbom)},
		{"policy", len(l.policy) > 0},
	} {
		if f.set {
			return fmt.Errorf("--%s: %w by this version of mica: a later release has it", f.name, errs.ErrUnsupported)
		}
	}
	return nil
}

// ignoredFlags are docker's flags that have nothing to do here: some are
// accepted since doing nothing is what they ask for, others are refused.
type ignoredFlags struct {
	rm, forceRm, compress, squash, disableTrust bool
	builder                                     string
	securityOpts                                []string
}

func (i *ignoredFlags) addTo(f *pflag.FlagSet) {
	f.BoolVar(&i.rm, "rm", true, "accepted: a build leaves no containers behind")
	f.BoolVar(&i.forceRm, "force-rm", false, "accepted: a build leaves no containers behind")
	f.BoolVar(&i.compress, "compress", false, "accepted: the context is read where it is")
	f.BoolVar(&i.squash, "squash", false, "refused")
	f.BoolVar(&i.disableTrust, "disable-content-trust", true, "accepted if true")
	f.StringArrayVar(&i.securityOpts, "security-opt", nil, "refused")
	f.StringVar(&i.builder, "builder", "", "accepted: there is one builder, and no daemon")
	for _, name := range []string{"rm", "force-rm", "compress", "squash", "disable-content-trust", "security-opt", "builder"} {
		must(f.MarkHidden(name))
	}
}

func (i *ignoredFlags) check() error {
	switch {
	case i.squash:
		return withHint(fmt.Errorf("--squash: %w", errs.ErrUnsupported),
			"A last stage FROM scratch with COPY --from=STAGE / / makes one layer of a stage.")
	case len(i.securityOpts) > 0:
		return withHint(fmt.Errorf("--security-opt %s: %w", i.securityOpts[0], errs.ErrUnsupported),
			"RUN --security=insecure with --allow security.insecure takes the limits off one step.")
	case !i.disableTrust:
		return fmt.Errorf("--disable-content-trust=false: %w: signatures of base images are not checked", errs.ErrUnsupported)
	}
	return nil
}

// firstError calls each until one fails.
func firstError(steps ...func() error) error {
	for _, s := range steps {
		if err := s(); err != nil {
			return err
		}
	}
	return nil
}
