# One verb for each thing that people do here. `make` alone lists them.
SHELL := /bin/bash
JOBS ?= $(shell nproc)
DATA ?= data
SEEDS ?= 2000
FIRST_SEED ?= 1
KILLS ?= 20
ORDERS ?= 1500
ROWS ?= 1000000
SEED ?=
FUZZ_SECONDS ?= 30
EXAMPLES ?= 200

.DEFAULT_GOAL := help
.PHONY: help setup build run demo test test-contract test-engines test-size test-sanitizers sim sim-canary chaos fuzz bench lint format clean

help: ## List the verbs
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

setup: packages ## Install the packages of scripts/packages.txt, and MySQL for the tests (Debian 12; asks nothing)
	@scripts/mysql_server.sh || echo "setup: 'make test' leaves out what needs MySQL, and says so" >&2

.PHONY: packages
packages:
	@scripts/setup.sh

build: ## Build the programs into build/release/bin
	@cmake --preset release --log-level=WARNING
	@cmake --build --preset release --parallel $(JOBS)

# The program alone, without the tests: what a newcomer waits for.
.PHONY: program
program:
	@echo "==> building the program (a few minutes the first time)"
	@cmake --preset release --log-level=WARNING
	@cmake --build --preset release --parallel $(JOBS) --target quittance

run: program ## Serve the demo shop on http://127.0.0.1:8080, keeping its data in data/
	build/release/bin/quittance serve --demo --data $(DATA)

demo: packages program ## Show three orders from sign-up to payment, and check each step
	@scripts/demo.sh

test: setup build ## Run the unit, conformance, integration and end-to-end tests
	@scripts/test.sh

test-contract: setup build ## Try the calls of docs/openapi.yaml at length: EXAMPLES=200 of each, chosen by SEED=n
	@CONTRACT_EXAMPLES=$(EXAMPLES) CONTRACT_SEED=$(or $(SEED),$$RANDOM) PYTHONDONTWRITEBYTECODE=1 \
		/usr/bin/python3 -m pytest -rP tests/e2e/test_schemathesis.py

test-sanitizers: setup ## Run the C++ tests under the address, undefined behaviour and thread sanitizers
	@JOBS=$(JOBS) scripts/test_sanitizers.sh

test-engines: setup build ## Run what strangers and failing databases do to payments on each of the four engines
	@E2E_ENGINES="sqlite postgresql mariadb mysql" PYTHONDONTWRITEBYTECODE=1 \
		/usr/bin/python3 -m pytest -rA --tb=short tests/e2e/test_strangers.py tests/e2e/test_database_errors.py

test-size: setup build ## Run every periodic statement, audits and an outage on tables of ROWS=1000000 rows
	@for engine in sqlite postgresql mariadb mysql; do \
		echo "==> $$engine, $(ROWS) rows"; \
		QUITTANCE_TEST_ROWS=$(ROWS) QUITTANCE_TEST_ENGINE=$$engine build/release/bin/size_test || exit 1; \
	done
	@QUITTANCE_TEST_ROWS=$(ROWS) PYTHONDONTWRITEBYTECODE=1 \
		/usr/bin/python3 -m pytest -rP tests/e2e/test_large_tables.py

sim: setup ## Simulate both services under seeded faults: SEEDS=2000 from FIRST_SEED=1; STORY=1 tells that seed's
	@cmake --preset release --log-level=WARNING
	@cmake --build --preset release --parallel $(JOBS) --target sim
	build/release/bin/sim --seeds $(SEEDS) --first $(FIRST_SEED) --jobs $(JOBS) $(if $(STORY),--story) \
		--commit "$$(git describe --always --dirty 2>/dev/null || echo unknown)"

sim-canary: setup ## Plant bugs, and see that the simulator finds each
	@cmake --preset release --log-level=WARNING
	@cmake --build --preset release --parallel $(JOBS) --target sim_canary
	build/release/bin/sim_canary

chaos: setup build ## Kill and cut off real processes under load, and check every order (KILLS=20 ORDERS=1500 SEED=n)
	@KILLS=$(KILLS) ORDERS=$(ORDERS) SEED=$(SEED) PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest tests/chaos

fuzz: setup ## Fuzz what strangers send, each target for FUZZ_SECONDS=30
	@JOBS=$(JOBS) FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz.sh

bench: setup build ## Measure every scenario beside its limits and write docs/benchmarks.md (about an hour)
	bench/run.py

lint: setup ## Check format, code, scripts and the API description
	@JOBS=$(JOBS) scripts/lint.sh

format: ## Format the C++ code in place
	find src tests bench -name '*.[ch]pp' -print0 | xargs -0 clang-format-14 -i

clean: ## Remove what was built (never data/)
	rm -rf build
