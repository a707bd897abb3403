# What is checked before anything lands. `make check` is all of it but the plain `go test ./...`.
GO ?= go
SHELL = /bin/bash
.SHELLFLAGS = -o pipefail -c
# Counted, not timed: up to go1.26 a time limit may end in "context deadline exceeded" though nothing failed (go.dev/issue/75804).
FUZZTIME ?= 20000x
SOAK ?= 60s
VERSION ?= $(shell git describe --always --dirty 2>/dev/null || echo unknown)

.PHONY: all build check fmt vet staticcheck vulncheck race cross wasip1 test386 boot fuzz secret soak clean

all: build

# Static binaries for this machine, in bin/.
build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X github.com/xentropyd/xentropyd/internal/cli.version=$(VERSION)" -o bin/ ./cmd/...

check: fmt vet staticcheck cross wasip1 secret race fuzz

fmt:
	@bad=$$($(GO) tool gofumpt -l $$(git ls-files '*.go')); [ -z "$$bad" ] || { echo "not gofumpt-clean, run 'go tool gofumpt -w FILE':"; echo "$$bad"; exit 1; }

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) tool staticcheck ./...

# Needs the vulnerability data base, which not every machine reaches; not part of check.
vulncheck:
	$(GO) tool govulncheck ./...

race:
	$(GO) test -race ./...

# The platforms that must compile. Only Linux does the work; the others say what is missing.
CROSS = linux/amd64 linux/arm64 linux/arm/5 linux/arm/6 linux/arm/7 windows/amd64 darwin/arm64 freebsd/amd64
cross:
	@set -e; for p in $(CROSS); do \
		os=$${p%%/*}; rest=$${p#*/}; arch=$${rest%%/*}; arm=$${rest#*/}; [ "$$arm" = "$$arch" ] && arm=; \
		echo "build $$p"; CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch GOARM=$$arm $(GO) build ./...; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch GOARM=$$arm $(GO) test -exec true -run NONE ./fortuna ./protocol ./vchan/... ./source/... ./guest ./host >/dev/null; \
	done

# 32 bits, natively on amd64, without the packages whose tests are end to end and slow.
SLOW386 = /internal/e2e$$|/cmd/demo(/|$$)|/lab(/|$$)
test386:
	GOARCH=386 CGO_ENABLED=0 $(GO) test $$(GOARCH=386 $(GO) list ./... | grep -vE '$(SLOW386)')

# The units of packaging/, booted by a real systemd in namespaces. As root; needs systemd, util-linux and cgroup2.
boot:
	XENTROPYD_BOOT=1 $(GO) test -count 1 -v -run '^TestBoot$$' ./packaging

# What a unikernel links runs without an operating system to speak of, and the guest library takes no network with it.
WASI = GOOS=wasip1 GOARCH=wasm
wasip1:
	$(WASI) $(GO) test -exec 'env -u GOOS -u GOARCH $(GO) tool wazero run -mount=/:/' ./fortuna ./protocol ./vchan/ring
	@bad=$$($(WASI) $(GO) list -deps ./guest | grep -xE 'net|net/.*|os/exec' || true); [ -z "$$bad" ] || { echo "guest pulls in $$bad"; exit 1; }
	@bad=$$($(GO) list -f '{{join .Imports "\n"}}' ./fortuna ./protocol ./vchan/ring | grep -xE 'os|os/.*|net|net/.*|syscall' || true); [ -z "$$bad" ] || { echo "fortuna, protocol or ring imports $$bad"; exit 1; }

# The build in which the runtime erases what the standard library keeps of keys.
secret:
	GOEXPERIMENT=runtimesecret $(GO) test ./fortuna ./protocol ./internal/scrub ./internal/gather ./guest

# A short run of every fuzz target there is.
fuzz:
	@set -e; for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep ^Fuzz || true); do \
			echo "fuzz $$pkg $$f"; $(GO) test -run NONE -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$pkg; \
		done; \
	done

# The long forms of the tests, each bounded by SOAK or by a count of its own; docs/soak.md has the last results.
SOAKS = ./transport/local:HostileRing ./internal/e2e:. ./fortuna:NoReadRepeats ./source/health:FalseAlarm \
	./internal/seedfile:KilledWhileStoring ./xenstore:ReconnectStress
soak:
	@set -e; for s in $(SOAKS); do \
		echo "soak $$s"; XENTROPYD_SOAK=$(SOAK) $(GO) test -count 1 -timeout 30m -v -run "$${s#*:}" "$${s%%:*}" | grep -vE '^=== '; \
	done

# Mutation tests: some minutes, not part of check. Of the changes to the code that the tests reach, they must notice
# 95 in 100; docs/mutants.md says of each that lives why. gremlins brings forty modules with it, so it is no tool of go.mod.
# No --test-cpu: up to v0.6.0 that makes every test run fail, and every mutant look killed.
.PHONY: mutate
GREMLINS = github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0
MUTATED = fortuna protocol vchan/ring source/health
mutate:
	@set -e; for p in $(MUTATED); do \
		echo "mutate $$p"; nice $(GO) run $(GREMLINS) unleash --workers 2 --timeout-coefficient 20 --threshold-efficacy 95 -S lt ./$$p; \
	done

# Real Xen under QEMU: see lab/README.md for what the host must have. lab-xen is the short set.
.PHONY: lab lab-xen lab-shell
LAB = $(GO) test -tags lab -count 1 -v ./lab
lab:
	$(LAB) -timeout 4h
lab-xen:
	$(GO) vet -tags lab ./lab/...
	$(GO) tool staticcheck -tags lab ./lab/...
	XENTROPYD_LAB_PATIENCE=10 $(LAB) -timeout 1h -short
lab-shell:
	$(GO) run ./lab/shell

clean:
	rm -rf bin dist
