# Every target works from a fresh clone: what it needs is installed into .venv first. Paths are relative,
# because GNU make cannot handle spaces in the others.

PYTHON := .venv/bin/python
# How many test processes: `make test JOBS=8`. Two for each core, for they wait for locks and servers a good deal.
JOBS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
# More arguments for pytest: `make test PYTEST='-k sync -x'`.
PYTEST ?=
# More arguments for the demo: `make demo DEMO='--keep --rows 100000'`.
DEMO ?=
# For the runbook's targets: `make db-reset-dev MASK=1`, `make db-migrate-staging DECISIONS=decisions.csv REVISION=head`,
# `make psql-prod PSQL='-c "SELECT 1"'`, `make start-app APP='--port 8080'`, `make deploy-api REGISTRY=… TAG_COLUMNS=text`.
MASK ?=
DECISIONS ?=
REVISION ?=
PSQL ?=
APP ?=
KEEP ?=
ROWS ?= 1080986
TENANT ?= demo
TAG_COLUMNS ?=
REGISTRY ?=
# More arguments for the application on sample data: `make photocat PHOTOCAT='--port 8080'`.
PHOTOCAT ?=

OPERATE = $(PYTHON) -m photocat.operate
RUN_PYTEST = $(PYTHON) -m pytest -n $(JOBS) --dist worksteal $(PYTEST)

.DEFAULT_GOAL := help
.PHONY: help install photocat demo test test-fast test-photocat test-matrix test-runbook test-browser screenshots chaos lint docs format clean
.PHONY: db-backup-prod db-reset-dev db-migrate-staging test-staging psql-dev psql-staging psql-prod
.PHONY: env-dev env-staging env-prod token-dev token-staging token-prod
.PHONY: stop-app start-app rolling-restart-app health-app deploy-api rollback-api db-stop

help:           ## what there is
	@sed -n 's/^\([a-z-]*\)[a-z -]*:.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 27

install:        ## Python environment in .venv, with everything; nothing is done twice
	@sh .ci/install

photocat:       ## the application with real tags on a server of its own
	@sh .ci/install
	@$(PYTHON) -m photocat.trial $(PHOTOCAT)

demo:           ## the whole migration on a million real tags, on a server of its own
	@sh .ci/install demo
	@.venv/bin/normalform demo $(DEMO)

db-backup-prod: ## a verified backup of prod in backups/
	@sh .ci/install
	@$(OPERATE) backup prod $(if $(KEEP),--keep $(KEEP))

db-reset-dev:   ## dev from the newest verified backup of prod; MASK=1 replaces people's names
	@sh .ci/install
	@$(OPERATE) reset dev --from prod $(if $(MASK),--mask)

db-migrate-staging: ## staging to Phase 3, or to REVISION=…, with DECISIONS=FILE applied before
	@sh .ci/install
	@$(OPERATE) migrate staging $(if $(REVISION),--revision $(REVISION)) $(if $(DECISIONS),--decisions "$(DECISIONS)")

test-staging:   ## every endpoint over HTTP, and staging-logs.txt searched for errors of constraints
	@sh .ci/install
	@$(OPERATE) test staging

psql-dev psql-staging psql-prod: ## psql as the owner of the tables: PSQL='-c "…"'
	@sh .ci/install
	@$(OPERATE) psql $(@:psql-%=%) -- $(PSQL)

env-dev env-staging env-prod: ## a shell for it: eval "$(make -s env-dev)"
	@sh .ci/install >&2
	@$(OPERATE) env $(@:env-%=%)

token-dev token-staging token-prod: ## a token for the API, with admin scope: TENANT=demo
	@sh .ci/install >&2
	@$(OPERATE) token $(@:token-%=%) --tenant "$(TENANT)" --admin

start-app:      ## prod's application, two instances on one port; its log is production.log
	@sh .ci/install
	@$(OPERATE) start prod $(APP)

stop-app:       ## requests under way are finished first
	@sh .ci/install
	@$(OPERATE) stop prod

rolling-restart-app: ## new instances serve before the old ones end
	@sh .ci/install
	@$(OPERATE) restart prod

health-app:     ## what /health answers; it fails unless all is well
	@sh .ci/install
	@$(OPERATE) health prod

deploy-api:     ## an image where there is Docker, pushed to REGISTRY=…, and the application moved to this release
	@sh .ci/install
	@$(OPERATE) deploy prod $(if $(TAG_COLUMNS),--tag-columns $(TAG_COLUMNS)) $(if $(REGISTRY),--registry "$(REGISTRY)")

rollback-api:   ## the application moved to the release before
	@sh .ci/install
	@$(OPERATE) rollback prod $(if $(REGISTRY),--registry "$(REGISTRY)")

db-stop:        ## the servers of dev, staging and prod, where they are our own; their data stays
	@sh .ci/install
	@$(OPERATE) stop-servers

test: install   ## all on PostgreSQL 18, whole phases on 16 too, with a sample of the crash points
	$(RUN_PYTEST) -m "not (again or browser or chaos or runbook)"

test-fast: install  ## the engine in under two minutes: no acceptance, no crashes, nothing slow, on PostgreSQL 18
	NORMALFORM_TEST_VERSIONS=18 $(RUN_PYTEST) -m "not (chaos or slow)" tests/unit tests/properties tests/contract tests/integration

test-photocat: install  ## PhotoCat's tests but those of the runbook and the browser, on PostgreSQL 18
	NORMALFORM_TEST_VERSIONS=18 $(RUN_PYTEST) -m "not (browser or chaos or runbook)" photocat/tests

test-matrix: install  ## what `make test` leaves out on PostgreSQL 16; then everything on the 15 of Debian
	$(RUN_PYTEST) -m "again and not (browser or chaos or runbook)"
	NORMALFORM_TEST_VERSIONS=15 $(RUN_PYTEST) -m "not (browser or chaos or runbook)" tests/integration tests/acceptance tests/second photocat/tests

test-runbook:   ## the runbook's page, and the job there and back under both strategies, on ROWS=1080986 real tags
	@sh .ci/install
	PHOTOCAT_SAMPLE_ROWS=$(ROWS) NORMALFORM_TEST_VERSIONS=18 $(PYTHON) -m pytest -n0 $(PYTEST) \
		photocat/tests/test_operate_strategies.py photocat/tests/test_operate_runbook.py

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
