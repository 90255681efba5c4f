// Command hello is the program of the example image. In the build it writes
// what it sees of the sandbox; in the finished image it prints what was written.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 0:
		return greet("/etc/hello")
	case len(args) == 2 && args[0] == "write":
		return write(args[1])
	case len(args) == 3 && args[0] == "upper":
		return upper(args[1], args[2])
	}
	return fmt.Errorf("usage: hello [write FILE | upper FROM TO]")
}

// greet prints the files that the build left in dir.
func greet(dir string) error {
	fmt.Println("Hello from an image that mica built.")
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %s", filepath.Base(f), text)
	}
	return nil
}

// write records where the build step ran.
func write(file string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	return save(file, fmt.Sprintf("written by process %d of %s on %s/%s\n", os.Getpid(), host, runtime.GOOS, runtime.GOARCH))
}

// upper copies a file in upper case.
func upper(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return save(to, strings.ToUpper(string(text)))
}

func save(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}
