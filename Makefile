# Everything a fresh clone needs: `make figure3` reproduces Figure 3, `make test` checks the project.

PYTHON ?= python3
BIN := .venv/bin
TESTS := $(BIN)/pytest -n 2 --dist worksteal

.PHONY: install figure3 results results-nau lint types check test slurm browser test-slow bench parity clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --disable-pip-version-check -q -e '.[dev]'
	touch $@

figure3: install
	$(BIN)/nalm reproduce figure-3 --out results

EXTENSIONS := mixed-signs-in2 mixed-signs-in10 real-npu-learning-rates \
	primer-add primer-sub primer-mul primer-div primer-add-in10 primer-add-in100 primer-sub-in10

results: install
	$(BIN)/nalm reproduce all $(EXTENSIONS) --out results
	$(BIN)/nalm report results -o docs/results.md

# What docs/results-neural-arithmetic-units.md shows; about two hours on two cores.
results-nau: install
	$(BIN)/nalm run two-layer-simple --variants 'NMU,NALU,NAC•' --out results-nau
	$(BIN)/nalm run two-layer --variants NAU --tasks add,sub --stop-when-solved --out results-nau
	$(BIN)/nalm run two-layer --variants NMU --tasks mul --seeds 0-15,25-40 --stop-when-solved --out results-nau
	$(BIN)/nalm reproduce sequential-mnist-product --seeds 0-2 --variants NMU,LSTM,solved --out results-nau
	$(BIN)/nalm reproduce sequential-mnist-sum --seeds 0-2 --variants NAU,LSTM,solved --iterations 1500 --evaluate-every 50 \
		--out results-nau
	$(BIN)/nalm report results-nau -o docs/results-neural-arithmetic-units.md

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: install
	$(BIN)/mypy

# For the person who edits: lint, types, and the quick tests of the rooms that differ from main.
check: lint types
	@changed=$$($(BIN)/python tests/changed.py); \
	if [ -z "$$changed" ]; then echo "no room differs from main: no test was run"; exit 0; fi; \
	$(TESTS) -m "not slow and not compiled" $$changed || [ $$? -eq 5 ]

test: lint types
	$(TESTS) -m "not slow"

# For the tests on a real cluster of one node: installs Slurm and munge where they are missing and may be installed.
slurm:
	@for command in munged slurmctld slurmd sbatch; do command -v $$command > /dev/null || missing=yes; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; then \
		echo "Slurm is missing and cannot be installed here: its tests will be skipped" >&2; exit 0; \
	fi; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge > /dev/null \
		|| echo "Slurm could not be installed: its tests will be skipped" >&2

# For the tests in a real browser: installs Chromium where it is missing and may be installed.
browser:
	@for command in chromium chromedriver; do command -v $$command > /dev/null || missing=yes; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; then \
		echo "Chromium is missing and cannot be installed here: its tests will be skipped" >&2; exit 0; \
	fi; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver > /dev/null \
		|| echo "Chromium could not be installed: its tests will be skipped" >&2

test-slow: install
	$(TESTS) -m slow

bench: install
	$(BIN)/nalm bench --thorough --floor benchmarks/floor.py

parity: install
	$(BIN)/python benchmarks/parity.py

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
