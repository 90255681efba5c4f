// Package export writes the result of a build: as an image in the store, as an
// archive or layout, as files.
//
// Image assembles config and manifest for each platform and an index when
// there are several. Layers are listed as they are: those of a base image by
// the blob its manifest lists, new ones uncompressed. They are compressed only
// when the image leaves (Compress), and the result is remembered.
package export
