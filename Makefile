# `make` says what there is. Everything installs what it needs into .venv, once.

PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2
# nbgrader's gradebook runs alembic by name.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint verify attacks fuzz site bench lab schema

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: .venv/.installed  ## install everything into .venv, once

.venv/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: setup  ## release both assignments, rehearse a class, grade it
	$(BIN)/python -m torchdojo.rehearsal.demo

test: setup  ## the tests, but for the slow ones
	$(BIN)/python -m pytest -m "not slow" -n $(JOBS)

test-slow: setup  ## the slow ones: many seeds, many kernels, a browser
	$(BIN)/python -m pytest -m slow -n $(JOBS)

lint: setup  ## ruff, mypy, the order of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

verify: setup  ## the tests of the course, tested: who catches which misconception
	$(BIN)/torchdojo verify

attacks: setup  ## the attack suite, as whoever calls it: try it as an ordinary user too
	$(BIN)/python -m pytest tests/attacks -n $(JOBS)

fuzz: setup  ## the decoder of students' answers, by a fuzzer, for ten minutes
	$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris
	$(BIN)/python tests/isolation/fuzz_values.py --seconds 600

site: setup  ## the course page, in site/: syllabus, misconceptions, who catches what
	$(BIN)/torchdojo site

bench: setup  ## side-by-side measurements
	@for script in $(sort $(wildcard bench/*.py)); do echo "== $$script"; $(BIN)/python $$script || exit; done

lab: setup  ## JupyterLab, with nbgrader's formgrader
	$(BIN)/jupyter lab

schema: setup  ## docs/course.schema.json, from torchdojo/course_keys.py
	$(BIN)/python -m torchdojo.course > docs/course.schema.json.new
	mv docs/course.schema.json.new docs/course.schema.json
