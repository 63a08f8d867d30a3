# Everything a fresh clone needs: `make figure3` reproduces Figure 3, `make test` checks the project.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: install figure3 lint types test test-slow bench parity clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --disable-pip-version-check -q -e '.[dev]'
	touch $@

figure3: install
	$(BIN)/nalm reproduce figure-3 --out results

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
