# `make train` and `make test` need Python 3.11, 3.12 or 3.13, gcc and make, and nothing else.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
AOT ?= $(VENV)-aot

ACCELERATORS ?= benchmarks/results/accelerators.json

.PHONY: train test test-slow coverage wheel lint types install accelerators accelerator-kit dependencies audit

train: $(VENV)/.installed  ## ClassMix on the built-in street scenes
	$(RUN) launch/main.py --config=configs/scenes.py

test: $(VENV)/.installed  ## the fast tests
	$(RUN) -m pytest -n 2 --dist loadscope

test-slow: $(VENV)/.installed  ## the long ones, and 150 examples of every fuzz test
	$(RUN) -m pytest -m slow
	$(RUN) -m pytest -k test_fuzz --hypothesis-profile=thorough

coverage: $(VENV)/.installed  ## the fast tests, and which lines they do not run
	$(RUN) -m pytest -n 2 --dist loadscope --cov --cov-report=term:skip-covered

wheel: $(VENV)/.installed  ## dist/classmix_jax-VERSION-py3-none-any.whl
	$(VENV)/bin/pip install --quiet --disable-pip-version-check 'build>=1.2,<2'
	$(RUN) -m build

lint: $(VENV)/.installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(VENV)/.installed  ## checks the annotations of the package
	$(RUN) -m mypy

# A separate environment: with these plugins, JAX would look for a GPU at every start.
accelerators: $(AOT)/.installed-aot  ## compiles training steps for GPUs and TPUs on a CPU; an hour; PYTHON from 3.12
	$(AOT)/bin/python benchmarks/compile_all.py --only='$(ONLY)' --output=$(ACCELERATORS)

$(AOT)/.installed-aot: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(AOT)
	$(AOT)/bin/pip install --quiet --disable-pip-version-check -e '.[aot]'
	touch $@

accelerator-kit: $(VENV)/.installed  ## packs benchmarks/accelerator.py for a machine without a network
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e .
	$(RUN) benchmarks/accelerator_kit.py --camvid='$(CAMVID)'

dependencies: $(VENV)/.installed  ## lists all installed packages with their licences
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[torch,labels,hub,onnx,serve,dev]'
	$(RUN) docs/make_dependencies.py docs/dependencies.md

audit: $(VENV)/.installed  ## known vulnerabilities of the installed packages; needs the network
	$(VENV)/bin/pip install --quiet --disable-pip-version-check 'pip-audit>=2.10,<3'
	$(RUN) -m pip_audit --skip-editable --strict

install: $(VENV)/.installed

$(VENV)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@
