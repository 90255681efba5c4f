// Package report writes findings down: for people (tty), for editors (gnu) and in
// the formats that code review and CI services read.
//
// Formats are values of Format, listed in All; Write picks one by name. The JSON
// form is the one that tools around hadolint read, with true columns:
//
//	[{"file":"Dockerfile","line":3,"column":5,"level":"warning","code":"DL3008","message":"…"}]
package report
