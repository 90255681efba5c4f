package rules

import (
	"slices"
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3064 = lint.Rule{
	Code: "DL3064", Level: lint.Warning, Title: "a credential in ARG or ENV", Twin: "SecretsUsedInArgOrEnv",
	Check: func(p *lint.Pass) {
		p.Deep(func(in *dockerfile.Instruction) {
			for _, kv := range in.Pairs() {
				if isSecretName(kv.Key) {
					p.Report(kv.Name.Range(), "%s looks like a credential, and %s keeps it in the image: use RUN --mount=type=secret", kv.Key, in.Name)
					return
				}
			}
		}, "ARG", "ENV")
	},
}

func isSecretName(name string) bool {
	if hasAny(strings.ToLower(name), "api_key", "client_key", "password", "private", "secret", "token", "username") {
		return true
	}
	// Names that services have given to credentials, and that the words miss.
	return slices.Contains([]string{
		"APPLICATION_KEY", "AWS_ACCESS_KEY_ID", "CI_DEPLOY_USER", "DOCKER_EMAIL", "FACEBOOK_APP_ID", "HEROKU_API_USER",
		"OKTA_AUTHN_GROUPID", "OKTA_CLIENT_ORGURL", "OKTA_OAUTH2_CLIENTID", "STRIPE_DEVICE_NAME", "TRAVIS_OS_NAME",
		"TRAVIS_SECURE_ENV_VARS", "TRAVIS_SUDO",
	}, strings.ToUpper(name))
}
