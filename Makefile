# Each target sets up what it needs in $(VENV); the second time without network. PYTHON=... chooses the interpreter.
VENV ?= .venv
CHECK = @tools/check.sh $(VENV)
DEV = @tools/setup.sh dev $(VENV)

.PHONY: help demo test lint fmt types unit bench docs lock clean deps-apt
help: ## this list
	@sed -n 's/^\([a-z-]*\): .*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: ## start real programs, break them, and watch every recovery
	@tools/setup.sh demo $(VENV)
	@$(VENV)/bin/pidward demo

test: ## everything: lint, format, types, rooms, shell, C, tests
	$(DEV)
	$(CHECK)

lint: ## ruff, import rules, shellcheck, clang-tidy
	$(DEV)
	$(CHECK) ruff format rooms shellcheck clang-tidy

types: ## mypy --strict
	$(DEV)
	$(CHECK) types

unit: ## the tests alone; ARGS="tests/core -k restart"
	$(DEV)
	@$(VENV)/bin/pytest -n 2 $(ARGS)

docs: ## build the documentation into build/docs
	$(DEV)
	@$(VENV)/bin/sphinx-build -E -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

fmt: ## write the code in one format
	$(DEV)
	@$(VENV)/bin/ruff check --quiet --fix .
	@$(VENV)/bin/ruff format .

bench: ## pidward beside its peers
	$(DEV)
	@$(VENV)/bin/python -m bench $(ARGS)

lock: ## choose tool versions anew from requirements/*.in; ARGS=--upgrade
	$(DEV)
	@tools/lock.sh $(VENV) $(ARGS)

clean: ## remove what was built, but not $(VENV)
	rm -rf build dist src/*.egg-info src/pidward/native src/pidward/kernel/_spawn.*so $(VENV)/.ready-package
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
	find src tests bench tools -name __pycache__ -prune -exec rm -rf {} +

deps-apt: ## as root on Debian: programs that make more tests possible; starts no service
	@tools/apt.sh gcc libc6-dev python3-dev python3-venv nginx-light redis-server postgresql nodejs systemd man-db tmux shellcheck clang-tidy
