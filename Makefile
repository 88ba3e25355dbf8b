# Every target works from a fresh clone: what it needs is installed into .venv first. Paths are relative,
# because GNU make cannot handle spaces in the others.

PYTHON := .venv/bin/python
# How many test processes: `make test JOBS=8`. Two for each core, for they wait for locks and servers a good deal.
JOBS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
# More arguments for pytest: `make test PYTEST='-k sync -x'`.
PYTEST ?=
# More arguments for the demo: `make demo DEMO='--keep --rows 100000'`.
DEMO ?=
# More arguments for the application on sample data: `make photocat PHOTOCAT='--port 8080'`.
PHOTOCAT ?=

RUN_PYTEST = $(PYTHON) -m pytest -n $(JOBS) --dist worksteal $(PYTEST)

.DEFAULT_GOAL := help
.PHONY: help install photocat demo test test-fast test-matrix test-browser screenshots chaos lint docs format clean

help:           ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 22

install:        ## Python environment in .venv, with everything; nothing is done twice
	@sh .ci/install

photocat:       ## the application with real tags on a server of its own
	@sh .ci/install
	@$(PYTHON) -m photocat.trial $(PHOTOCAT)

demo:           ## the whole migration on a million real tags, on a server of its own
	@sh .ci/install demo
	@.venv/bin/normalform demo $(DEMO)

test: install   ## all tests, on PostgreSQL 18 and 16, with a sample of the crash points
	$(RUN_PYTEST) -m "not chaos and not browser"

test-fast: install  ## under two minutes: no acceptance, no crashes, nothing slow, on PostgreSQL 18
	NORMALFORM_TEST_VERSIONS=18 $(RUN_PYTEST) -m "not chaos and not browser and not slow" tests/unit tests/properties tests/contract tests/documentation tests/integration photocat/tests

test-matrix: install  ## integration and acceptance tests and the second database, on the PostgreSQL 15 of Debian
	NORMALFORM_TEST_VERSIONS=15 $(RUN_PYTEST) -m "not chaos and not browser" tests/integration tests/acceptance tests/second photocat/tests

test-browser: install  ## PhotoCat's pages in Debian's chromium: keyboard, mouse, axe
	NORMALFORM_TEST_VERSIONS=18 $(PYTHON) -m pytest -m browser photocat/tests/browser $(PYTEST)

screenshots: install  ## take the docs' pictures of the pages anew, in docs/images
	NORMALFORM_WRITE_DOCS=1 NORMALFORM_TEST_VERSIONS=18 $(PYTHON) -m pytest -m browser photocat/tests/browser/test_screenshots.py

chaos: install  ## every crash point there is, each killed and resumed; ten thousand hostile requests
	NORMALFORM_CHAOS=all $(RUN_PYTEST) tests/crash tests/integration/test_resolve_kill.py photocat/tests/test_hostile.py

lint: install   ## ruff, mypy --strict, and who may import whom
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports

docs: install   ## write the made pages of docs/reference anew
	NORMALFORM_WRITE_DOCS=1 NORMALFORM_TEST_VERSIONS=18 $(PYTHON) -m pytest -q tests/documentation/test_generated.py

format: install  ## let ruff rewrite what it can
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

clean:          ## what the targets above left behind
	rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
