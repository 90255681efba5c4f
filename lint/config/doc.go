// Package config reads the settings of the linter where people have them: the
// files, variables and words of hadolint.
//
// Parse reads a .hadolint.yaml, Find says which file is in force, FromEnv reads
// the HADOLINT_ variables. A Config that is nearer replaces what one farther off
// says: the command line before the environment before the file.
//
// Source: https://github.com/hadolint/hadolint#configure
package config
