# Every target works in a fresh clone: it creates .venv on first use.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench accuracy matching docs clean

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: .venv/.installed
	$(BIN)/python examples/demo.py

test: .venv/.installed
	$(BIN)/python -m pytest

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# The peers live in an environment of their own; PyTorch comes first, as the build for processors alone.
.venv-bench/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check jax optax keras scikit-learn autograd --editable '.[images]'
	touch $@

# make bench PARTS="steps matmul" measures some parts alone.
bench: .venv-bench/.installed
	.venv-bench/bin/python -m benchmarks $(PARTS)

# Whole trainings beside PyTorch's, an hour of them; make accuracy RECIPES=mnist-lenet runs one alone.
accuracy: .venv-bench/.installed
	.venv-bench/bin/python -m benchmarks.accuracy $(RECIPES)

# What other libraries compute in the rows of docs/matching.md, which the tests compare with.
matching: .venv-bench/.installed
	.venv-bench/bin/python -m benchmarks.matching

docs: .venv/.installed
	$(BIN)/python -m pytest tests/test_docs.py

clean:
	rm -rf .venv .venv-bench build dist runs *.egg-info .pytest_cache .ruff_cache .hypothesis
