# On a fresh Debian 12 with git, a Rust toolchain and root (or the packages that `make deps` names):
# `make demo` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help deps servers build demo test hammer bench lint fmt fmt-check docs

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install missing packages (as root), or name them
	@scripts/deps.sh

servers: deps ## Find or build the servers of the tests: etcd 3.4 and 3.7, kube-apiserver
	@scripts/test-servers.sh

build: deps ## The release binary: target/release/ipaudit
	cargo build --release --locked

demo: deps ## The incident of 2017 in a throw-away etcd, audited
	@scripts/demo.sh

test: deps servers ## Every test, real servers included
	cargo test --locked

SECONDS ?= 600
# Once, so that what is printed is what is used.
ifndef SEED
SEED := $(shell date +%s)
endif
hammer: deps servers ## Audits and releases among everybody's writes: SECONDS=3600 SEED=1 TEST=name
	@echo "SECONDS=$(SECONDS) SEED=$(SEED)"
	CI=true IPAUDIT_HAMMER=$(SECONDS) IPAUDIT_HAMMER_SEED=$(SEED) cargo test --locked --test hammer -- --nocapture $(TEST)

bench: deps servers ## What audits cost, beside a raw read: 20 minutes; BENCH=all is everything, AGAINST=PATH another build in turns
	cargo bench --locked --bench audit -- $(if $(filter all,$(BENCH)),--all) $(if $(AGAINST),--against $(AGAINST))

lint: deps ## clippy, warnings denied
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features -- -D warnings

docs: deps ## The crate's documentation, private items too, warnings denied
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

# rustfmt does not follow `mod` into the macro that lists a family's checks: these files are named.
CHECKS = $(wildcard src/checks/*/*.rs src/checks/*/*/*.rs)

fmt: ## Format
	@cargo fmt -- $(CHECKS)

fmt-check: ## Fail on what `make fmt` would change
	@cargo fmt -- --check $(CHECKS)
