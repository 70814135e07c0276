# The two commands of the README are `make demo` and `make test`; each makes its environment from nothing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FRAMES ?= 150
JOBS ?= 2
PIP := pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

# What shows that the runtime needs nothing but its own requirements: reading, running, finding, writing, the command,
# and the examples of every docstring outside oddroad.learn and the converters for other tools.
LIGHT := tests/test_isolation.py tests/test_readme.py tests/cli/test_main.py tests/inference/test_model.py \
	tests/detection/test_pipeline.py tests/io/test_images.py tests/io/test_video.py \
	src/oddroad --ignore=src/oddroad/learn --ignore=src/oddroad/exchange

.PHONY: demo test test-all test-light test-full check docs bench mutate reliability dist audit matrix hooks clean

$(VENV)/.light: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP) -e .
	touch $@

$(VENV)/.full: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP) -e '.[dev]'
	touch $(VENV)/.light $@

# An environment that stays light, whatever .venv has grown to: the runtime's tests run in it.
.venv-light/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-light
	.venv-light/bin/$(PIP) -e . 'pytest>=8' 'pytest-xdist>=3.6' 'hypothesis>=6.100'
	touch $@

demo: $(VENV)/.light
	$(BIN)/oddroad demo --out demo --frames $(FRAMES)

# All but the tests marked slow, which repeat at length what others check in small; `make test-all` runs them too.
test: MARKED = -m "not slow"
test test-all: .venv-light/.ready
	@$(MAKE) --no-print-directory -j2 test-light $(VENV)/.full MARKED='$(MARKED)'
	@$(MAKE) --no-print-directory test-full MARKED='$(MARKED)'

test-light: .venv-light/.ready
	.venv-light/bin/python -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is not None)"
	.venv-light/bin/python -m pytest -n $(JOBS) --dist worksteal -p no:cacheprovider $(LIGHT) $(MARKED)

test-full: $(VENV)/.full
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(MARKED)

check: $(VENV)/.full
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# The site in site/: references made of the code, then every link checked. (With --quiet, --strict would count no warning.)
docs: $(VENV)/.full
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/.full
	$(BIN)/python benchmarks/runtime.py

# Every reader on mutated inputs: SEED="7" COUNT=10000 of each, READERS="video mcap" for some. docs/research/fuzzing.md
SEED ?= 2026
COUNT ?= 2000
fuzz: $(VENV)/.full
	PYTHONPATH=tests nice -n 10 $(BIN)/python -m fuzz $(READERS) --seed $(SEED) --count $(COUNT)

# PARTS="oddroad.metrics.*" for a part; `.venv/bin/python benchmarks/mutation.py --survivors` shows what no test noticed.
mutate: $(VENV)/.full
	$(BIN)/$(PIP) 'mutmut>=3.8'
	OMP_NUM_THREADS=1 nice -n 19 $(BIN)/mutmut run --max-children $(JOBS) $(PARTS)
	$(BIN)/python benchmarks/mutation.py

# Git runs .githooks/pre-commit before each commit of this clone.
hooks: $(VENV)/.full
	git config core.hooksPath .githooks

# The wheel, with its bill of materials, and the sdist, in dist/.
dist: $(VENV)/.full
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python release/check_wheel.py dist/*.whl

# What is depended on, against published holes; says how much was audited. AUDIT=--without-service where there is no network.
audit: $(VENV)/.full
	$(BIN)/python release/audit.py $(AUDIT)

# The wheel on every Python with the lowest and the newest releases allowed; long, needs uv. MATRIX="--python 3.13" for a part.
matrix:
	$(PYTHON) release/matrix.py $(MATRIX)

# Every verb, every kind of fault at every call, memory, kills: docs/reliability.md. Hours on one core; needs a C compiler.
reliability: $(VENV)/.full
	$(BIN)/python tests/reliability/sweep.py --out reliability.json
	$(BIN)/python runs/endurance.py --out endurance.json --figure endurance.png

clean:
	rm -rf $(VENV) .venv-light build dist demo out site mutants
