// Package volume keeps directories that outlive containers.
//
// A volume is a directory volumes/NAME of a store: volume.json says what it is, data
// is what containers see. It is made whole or not at all. Volumes may be made, listed and
// removed by several processes at once; who uses a volume is for the caller to know.
package volume
