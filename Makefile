# `make train` and `make test` need Python 3.11 or 3.12, gcc and make, and nothing else.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

.PHONY: train test test-slow lint install

train: $(VENV)/.installed  ## ClassMix on the built-in street scenes
	$(RUN) launch/main.py --config=configs/scenes.py

test: $(VENV)/.installed  ## the fast tests
	$(RUN) -m pytest -n 2 --dist loadscope

test-slow: $(VENV)/.installed  ## the long ones
	$(RUN) -m pytest -m slow

lint: $(VENV)/.installed
	$(RUN) -m ruff check .

install: $(VENV)/.installed

$(VENV)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@
