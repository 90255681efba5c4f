// Package format prints lists and objects the way docker's --format asks for:
// as a table, as JSON, or through a Go template with docker's functions (json,
// split, join, title, lower, upper, pad, truncate).
//
// Rows prints a list, one line for each row; Object prints one thing.
//
// A row is a struct of exported string fields, in the order its JSON should
// have. A field's heading in a table is its `header` tag, or its name in upper
// case with a space before each word.
package format
