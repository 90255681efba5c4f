// Package storagetest is the suite that every place for a registry passes.
package storagetest
