package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sizes say how big the inputs are.
type sizes struct {
	contextFiles, treeFiles, copyMiB int
}

// makeBase puts a static busybox and a Dockerfile head that makes a base of it
// into dir, and gives dir.
func makeBase(dir string) (string, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", errNoBusybox
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, copyFile(filepath.Join(dir, "busybox"), busybox, 0o755)
}

// baseStage is the Dockerfile head for the busybox of makeBase.
const baseStage = `FROM scratch AS base
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
`

// begin makes the context dir with busybox in it and the Dockerfile.
func begin(dir, base, dockerfile string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(dir, "busybox"), filepath.Join(base, "busybox"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(baseStage+dockerfile), 0o644)
}

// prepareApp is an application of two stages over a context of many files.
func prepareApp(dir, base string, s sizes) error {
	err := begin(dir, base, `FROM base AS builder
ARG MODE=release
ENV LANG=C.UTF-8
WORKDIR /src
COPY src/dir0/ dir0/
RUN ls dir0 | wc -l > count0
COPY src/ .
RUN ls | wc -l > count
RUN echo "$MODE" > mode
RUN find . -name '*.txt' | sort | tail -n 1 > last
FROM base
LABEL org.opencontainers.image.title=app
ENV APP=1
RUN mkdir -p /app
WORKDIR /app
COPY --from=builder /src/count /src/mode ./
COPY src/dir1/ data/
EXPOSE 8080
USER 1000
ENTRYPOINT ["/bin/cat"]
CMD ["count"]
`)
	if err != nil {
		return err
	}
	if err := makeTree(filepath.Join(dir, "src"), s.contextFiles, 10<<10); err != nil {
		return err
	}
	return editApp(dir, -1)
}

func prepareRun10(dir, base string, _ sizes) error {
	var b strings.Builder
	b.WriteString("FROM base\n")
	for i := range 10 {
		fmt.Fprintf(&b, "RUN echo %d > /file%d\n", i, i)
	}
	return begin(dir, base, b.String())
}

func prepareParallel(dir, base string, _ sizes) error {
	var b, last strings.Builder
	for i := range 4 {
		fmt.Fprintf(&b, "FROM base AS s%d\nRUN sleep 1; echo %d > /out%d\n", i, i, i)
		fmt.Fprintf(&last, "COPY --from=s%d /out%d /\n", i, i)
	}
	return begin(dir, base, b.String()+"FROM base\n"+last.String())
}

func prepareMultistage(dir, base string, s sizes) error {
	if err := begin(dir, base, "FROM base AS tree\nCOPY tree/ /tree/\nFROM base\nCOPY --from=tree /tree/ /tree/\n"); err != nil {
		return err
	}
	return makeTree(filepath.Join(dir, "tree"), s.treeFiles, 2<<10)
}

func prepareBigCopy(dir, base string, s sizes) error {
	if err := begin(dir, base, "FROM base\nCOPY data/ /data/\n"); err != nil {
		return err
	}
	const size = 64 << 10
	return makeTree(filepath.Join(dir, "data"), s.copyMiB<<20/size, size)
}

func prepareBusybox(dir, base string, _ sizes) error { return begin(dir, base, "FROM base\n") }

// makeTree makes n files of size bytes in folders of 100. Their content is half
// random, half text, the same each time.
func makeTree(dir string, n, size int) error {
	r := rand.NewChaCha8([32]byte{1})
	text := []byte(strings.Repeat("all work and no play makes mica a dull tool\n", size/44+1))
	buf := make([]byte, size)
	for i := range n {
		sub := filepath.Join(dir, fmt.Sprintf("dir%d", i/100))
		if i%100 == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return err
			}
		}
		_, _ = r.Read(buf[:size/2])
		copy(buf[size/2:], text)
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("file%d.txt", i)), buf, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(dst, src string, mode fs.FileMode) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
