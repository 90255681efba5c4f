// Package container runs images.
//
// A [Runner] runs one image in the foreground and throws away what it wrote:
// [Runner.Run] stacks the image's layers under an empty one, joins what the
// image's config says with what the caller asks for ([Options]), as docker does,
// and hands the result to package sandbox. Nothing is kept when the container ends, nor
// when the process is killed.
//
// A Runner may be used concurrently.
package container
