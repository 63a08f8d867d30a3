# Everything a fresh clone needs: `make figure3` reproduces Figure 3, `make test` checks the project.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: install figure3 results lint types test test-slow bench parity clean

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

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

test: lint types
	$(BIN)/pytest -n 2 -m "not slow"

test-slow: install
	$(BIN)/pytest -n 2 -m slow

bench: install
	$(BIN)/nalm bench

parity: install
	$(BIN)/python benchmarks/parity.py

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
