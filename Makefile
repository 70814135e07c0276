# The two commands of the README are `make demo` and `make test`; each makes its environment from nothing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FRAMES ?= 150

.PHONY: demo test test-light check bench clean

$(VENV)/.light: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.full: $(VENV)/.light
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# An environment that stays light, whatever .venv has grown to: the runtime's tests run in it.
.venv-light/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-light
	.venv-light/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e . 'pytest>=8' 'hypothesis>=6.100'
	touch $@

demo: $(VENV)/.light
	$(BIN)/oddroad demo --out demo --frames $(FRAMES)

test: $(VENV)/.full test-light
	$(BIN)/python -m pytest -n 2

test-light: .venv-light/.ready
	.venv-light/bin/python -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is not None)"
	.venv-light/bin/python -m pytest tests/runtime -p no:cacheprovider

check: $(VENV)/.full
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(VENV)/.full
	$(BIN)/python benchmarks/runtime.py

clean:
	rm -rf $(VENV) .venv-light build dist demo out
