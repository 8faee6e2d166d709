# Every target starts by making the checkout ready (tools/setup.py), which takes under a second once it is.
# Variables: PROGRAM, the folder of programs/ to work on; STACK, its stack; PYTHON, the Python to start with (3.11 on);
# WORKERS, how many files of tests run at a time; LONG=1, the tests that take minutes too.

PROGRAM ?= mnist
STACK ?= local
WORKERS ?= 2
BIN := .venv/bin
PYTHON ?= $(shell for python in $(BIN)/python python3.11 python3 python3.12 python3.13; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && exit; done)
SETUP = $(or $(PYTHON),$(error Trainstack needs Python 3.11 or newer on PATH, or named: make PYTHON=/path/to/python3.11)) tools/setup.py
PROGRAMS := $(notdir $(patsubst %/__main__.py,%,$(wildcard programs/*/__main__.py)))
$(if $(filter $(PROGRAM),$(PROGRAMS)),,$(error there is no program '$(PROGRAM)': choose PROGRAM from $(PROGRAMS)))
# The project at the root is programs/mnist; the other programs are projects of their own, whose stack is made here.
OTHER := $(filter-out mnist,$(PROGRAM))
PULUMI := $(BIN)/pulumi$(if $(OTHER), -C programs/$(OTHER))
SELECT := $(if $(OTHER),$(PULUMI) stack select --create --non-interactive $(STACK),true)

.DEFAULT_GOAL := help
.PHONY: help setup up preview down test chaos lint audit format tables docs recordings bench lock

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do \
		printf '%-16s %s\n' "$$name" "$$what"; done

setup: ## Make the checkout ready: environment, Pulumi engine, state folder, stack
	@$(SETUP) ready --stack $(STACK)

up: setup ## Train, register and serve: pulumi up, then the stack's outputs (PROGRAM=word2vec: another program)
	@$(SELECT)
	@$(PULUMI) up --yes --stack $(STACK)
	@$(PULUMI) stack output --stack $(STACK)

preview: setup ## Say what `make up` would change, and why
	@$(SELECT)
	@$(PULUMI) preview --stack $(STACK)

down: setup ## Stop and remove what the stack holds; finished runs and models stay in the workspace
	@$(PULUMI) destroy --yes --stack $(STACK)

lint: setup ## Ruff, pyright, import-linter, spelling; what is known against locked packages is named
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/codespell README.md CHANGELOG.md CONTRIBUTING.md docs components programs policy tools
	@$(BIN)/python tools/audit.py --advise

audit: setup ## Look up every locked package in a database of known vulnerabilities; fail if any is named there
	@$(BIN)/python tools/audit.py

format: setup ## Let ruff fix what it can
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

# A test that waits for a real server, container or pod can fail under the load of other tests, and is then run
# once more alone. What fails again fails the build; what passes then is reported as such, and is a test to fix.
test: lint ## Lint, then all tests (LONG=1: those of minutes too), WORKERS=2 files at a time; the slowest twenty are named
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=20 --durations-min=1 $(if $(LONG),--long) || { code=$$?; test $$code -eq 1 || exit $$code; \
		echo "what failed is run once more, alone"; \
		$(BIN)/pytest --last-failed --last-failed-no-failures none -x $(if $(LONG),--long) && \
		echo "passed alone: what failed above depends on the load, and is to be fixed"; }

chaos: setup ## Kill and harm everything at random moments; N=200: so many times
	@CHAOS_N=$(or $(N),60) $(BIN)/pytest --long tests/chaos

tables: setup ## Write the documentation's tables of a run's fields anew
	@PYTHONPATH=components $(BIN)/python tools/run_fields.py

docs: setup ## Build the documentation's site into site/; a link that leads nowhere fails
	@$(BIN)/mkdocs build --strict --quiet

recordings: setup ## Record the terminal sessions that the documentation shows anew
	@PYTHONPATH=tools $(BIN)/python -m recordings

bench: setup ## Measure, next to what a user would pick instead; ONE="preview run": some of it, ACCEPT=1: commit to the ratios
	@$(BIN)/python -m benchmarks $(ONE) $(if $(ACCEPT),--accept)

lock: ## Write the locks anew from pyproject.toml (UPGRADE=1: newest versions)
	@$(SETUP) lock $(if $(UPGRADE),--upgrade)
