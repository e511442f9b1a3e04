# Each target sets up what it needs: Python >= 3.11, make and git are all that must be there beforehand.
# ARGS="…" is handed on: make demo ARGS=--once, make test ARGS="tests/store -x", make bench NAME=detector_throughput.
# Tests run in WORKERS processes that share one server of each kind; ARGS="-n 0 --pdb" for one process.
.POSIX:
.PHONY: help demo up test test-all quick check fmt bench named soak lock environment servers kernels clean
.DEFAULT_GOAL := help

BIN := .venv/bin
READY := .tools/environment.stamp
WARM := .tools/warm.stamp
ROUNDS ?= 20
WORKERS ?= 3
SEEDS ?= 60
MUTATIONS ?= 10000

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

demo: $(WARM) ## watch real attacks on loopback being caught
	@$(BIN)/backwatch demo $(ARGS)

up: $(WARM) ## stream, detector, notify and dashboard on this machine, waiting for your app
	@$(BIN)/backwatch up $(ARGS)

test: $(READY) servers kernels ## the tests of a change, against real servers: minutes
	@$(BIN)/pytest -m "not slow" -n $(WORKERS) $(ARGS)

test-all: $(READY) servers kernels ## every test, as CI runs them
	@BACKWATCH_TEST_MUTATIONS=$(SEEDS) $(BIN)/pytest -n $(WORKERS) $(ARGS)

quick: $(READY) ## the tests that take seconds, with the servers that are installed
	@$(BIN)/pytest -m "not slow and not heavy" $(ARGS)

check: $(READY) ## format, lint, types, import rules, dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python tools/audit.py

fmt: $(READY) ## formats, and mends what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: named $(READY) servers ## one figure against its yardstick: NAME=…
	@$(BIN)/python -m bench.$(NAME) $(ARGS)

named:
	@test -f "bench/$(NAME).py" || { echo "make bench NAME=…, one of:"; grep -l '^def main' bench/*.py | grep -v -e _app -e _receiver | sed 's|bench/||; s|\.py$$||'; exit 2; }

soak: $(READY) servers ## mutated answers, MUTATIONS of each service; the slow tests, ROUNDS times or until one fails
	@BACKWATCH_TEST_MUTATIONS=$(MUTATIONS) $(BIN)/pytest -v -n $(WORKERS) \
		tests/contract/test_mutated_answers.py $(ARGS)
	@for round in $$(seq $(ROUNDS)); do echo "round $$round of $(ROUNDS)"; $(BIN)/pytest -q -m "slow or heavy" -x $(ARGS) || exit 1; done

lock: $(READY) ## the newest versions allowed, into requirements.lock
	@tools/lock.sh
	@$(MAKE) --no-print-directory environment

environment: $(READY) ## .venv with the versions of requirements.lock
$(READY): requirements.lock tools/uv.txt tools/environment.sh pyproject.toml $(wildcard */pyproject.toml)
	@tools/environment.sh
	@touch $(READY)

$(WARM): $(READY)
	@echo "compiling the detector's kernels, once: a minute"
	@$(BIN)/python -m backwatch.detector.warm
	@touch $(WARM)

kernels: $(READY) # where the tests look for them, so that none waits for the compiler
	@mkdir -p -m 700 .tools/state
	@XDG_STATE_HOME="$(CURDIR)/.tools/state" $(BIN)/python -m backwatch.detector.warm

servers: ## what the tests need besides Python (as root on Debian)
	@tools/servers.sh

clean: ## everything that was set up here
	rm -rf .venv .tools .pytest_cache .ruff_cache .hypothesis .import_linter_cache
