package checks

import "github.com/mica-build/mica/lint"

// All are the checks, by name.
func All() []lint.Rule {
	return []lint.Rule{
		consistentInstructionCasing, copyIgnoredFile, duplicateStageName, exposeInvalidFormat, exposeProtoCasing,
		fromAsCasing, fromPlatformFlagConstDisallowed, invalidBaseImagePlatform, invalidDefaultArgInFrom,
		invalidDefinitionDescription, jsonArgsRecommended, legacyKeyValueFormat, maintainerDeprecated,
		multipleInstructionsDisallowed, noEmptyContinuation, redundantTargetPlatform, reservedStageName,
		secretsUsedInArgOrEnv, stageNameCasing, undefinedArgInFrom, undefinedVar, workdirRelativePath,
	}
}
