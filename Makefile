# `make help` lists the targets. Everything runs from a clean clone; what the
# machine itself has to have is Go (the version in go.mod), make and a shell.

GO      ?= go
BIN     := bin
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/mica-build/mica/internal/cli.version=$(VERSION)

# What the tests call besides Go, as command:package.
TEST_TOOLS := busybox:busybox-static newuidmap:uidmap pasta:passt git:git xz:xz-utils file:file
RACE_TOOLS := $(TEST_TOOLS) gcc:gcc

# Tests take long where the kernel does: two minutes say nothing yet.
TEST_FLAGS ?= -timeout 15m
RACE_FLAGS ?= -timeout 25m
FUZZTIME   ?= 20s
KILLS      ?= 3000
BENCH      ?=
DEMO_ROOT  := $(CURDIR)/$(BIN)/demo-store

.DEFAULT_GOAL := help
.PHONY: help build test race test-crash lint fuzz bench bench-registry demo clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## make bin/mica: one static binary, version stamped
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/mica ./cmd/mica

test: ## run the tests, after installing what they need (as root, with apt)
	@.ci/tools $(TEST_TOOLS)
	$(GO) test $(TEST_FLAGS) ./...

# Without GORACE each process the tests start would sleep a second at its end.
race: ## run the tests under the race detector
	@.ci/tools $(RACE_TOOLS)
	GO=$(GO) .ci/race $(RACE_FLAGS)

test-crash: ## kill mica KILLS (3000) times, fill its disk, and check its store each time (as root)
	$(GO) test -count=1 -timeout 4h ./internal/crashtest -v -kills $(KILLS)

lint: ## gofumpt, go vet and staticcheck, as pinned in go.mod; is the map complete
	@.ci/format
	@.ci/map
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

fuzz: ## fuzz every decoder for FUZZTIME (20s)
	@.ci/fuzz $(FUZZTIME)

bench: build ## time mica against the peers that are installed; BENCH="-list" shows how
	$(GO) run ./internal/bench -mica $(BIN)/mica $(BENCH)

bench-registry: build ## time mica's registry against zot and distribution, where they are; BENCH="-list" shows how
	$(GO) run ./internal/bench/registry -mica $(BIN)/mica $(BENCH)

demo: build ## build the multi-stage example, list the image, run it: no network, no registry
	@.ci/demo $(BIN)/mica $(DEMO_ROOT)

clean: ## remove what make made
	rm -rf $(BIN) examples/hello/hello
