# `make train` and `make test` need Python 3.11, 3.12 or 3.13, gcc and make, and nothing else.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
AOT ?= $(VENV)-aot

ACCELERATORS ?= benchmarks/results/accelerators.json

.PHONY: train test test-slow lint install accelerators accelerator-kit dependencies audit

train: $(VENV)/.installed  ## ClassMix on the built-in street scenes
	$(RUN) launch/main.py --config=configs/scenes.py

test: $(VENV)/.installed  ## the fast tests
	$(RUN) -m pytest -n 2 --dist loadscope

test-slow: $(VENV)/.installed  ## the long ones, and 150 examples of every fuzz test
	$(RUN) -m pytest -m slow
	$(RUN) -m pytest -k test_fuzz --hypothesis-profile=thorough

lint: $(VENV)/.installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

# In an environment of its own: JAX would look for a GPU at every start of the other programs.
accelerators: $(AOT)/.installed-aot  ## training steps compiled for GPUs and TPUs that are not here; an hour; PYTHON from 3.12
	$(AOT)/bin/python benchmarks/compile_all.py --only='$(ONLY)' --output=$(ACCELERATORS)

$(AOT)/.installed-aot: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(AOT)
	$(AOT)/bin/pip install --quiet --disable-pip-version-check -e '.[aot]'
	touch $@

accelerator-kit: $(VENV)/.installed  ## packs what benchmarks/accelerator.py needs on a machine without a network
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[lite]'
	$(RUN) benchmarks/accelerator_kit.py --camvid='$(CAMVID)'

dependencies: $(VENV)/.installed  ## every package that is installed, with its licence
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[torch,labels,lite,dev]'
	$(RUN) docs/make_dependencies.py docs/dependencies.md

audit: $(VENV)/.installed  ## known vulnerabilities of what is installed; needs the network
	$(VENV)/bin/pip install --quiet --disable-pip-version-check 'pip-audit>=2.10,<3'
	$(RUN) -m pip_audit --skip-editable --strict

install: $(VENV)/.installed

$(VENV)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@
