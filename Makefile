# Every target sets up what it needs. `make help` lists them.
CONFIG ?= configs/demo.yaml
OUT ?= out/scores.csv
CUSTOMERS ?=
CUTOFF ?=
VERSION ?=
WHY ?=
export WHY
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help setup train demo simulate bench bench-models bench-values bench-drivers score promote rollback kpis drivers features data-check leaks test check lint format types arch docs docs-current mlflow lock clean

help: ## Show what each target does
	@echo 'make TARGET [CONFIG=file.yaml] [CUSTOMERS=list.csv] [OUT=file.csv|.parquet] [CUTOFF=2026-06-01] [VERSION=2] [WHY="…"]'
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: .venv/ready ## Make .venv from the pinned requirements (the other targets do it for you)

.venv/ready: requirements.txt pyproject.toml .ci/setup
	@$(PYTHON) .ci/setup

train: .venv/ready ## Train on CONFIG (default: a simulated shop, built in), evaluate, explain, track
	@.venv/bin/tenure train -c $(CONFIG)

demo: ## The whole way on the built-in shop: train, figures of experience, scores
	@$(MAKE) --no-print-directory train kpis score CONFIG=configs/demo.yaml OUT=out/demo/list.csv

score: .venv/ready ## Score CUSTOMERS (default: all) with the champion, into OUT
	@.venv/bin/tenure score -c $(CONFIG) $(if $(CUSTOMERS),--customers $(CUSTOMERS)) --out $(OUT)

promote: .venv/ready ## Make VERSION (default: the challenger) the champion; WHY="…" is kept with it
	@.venv/bin/tenure promote -c $(CONFIG) $(if $(VERSION),--version $(VERSION)) --why "$$WHY"

rollback: .venv/ready ## Go back to the champion before this one; WHY="…" is kept with it
	@.venv/bin/tenure rollback -c $(CONFIG) --why "$$WHY"

kpis: .venv/ready ## Compute the figures of the customer experience, month by month
	@.venv/bin/tenure kpis -c $(CONFIG)

drivers: .venv/ready ## Find why customers leave, by the champion, and what goals would change
	@.venv/bin/tenure drivers -c $(CONFIG)

features: .venv/ready ## Write the features of everybody as known at CUTOFF, into OUT
	@.venv/bin/tenure features -c $(CONFIG) --cutoff $(CUTOFF) --out $(OUT)

data-check: .venv/ready ## Check the data of CONFIG against the contract
	@.venv/bin/tenure check -c $(CONFIG)

leaks: .venv/ready ## Prove on the data of CONFIG that no feature sees past its cutoff; look for signs of leaks
	@.venv/bin/tenure check --leaks -c $(CONFIG)

test: .venv/ready ## Run all tests
	@.venv/bin/python -m pytest

check: lint types arch docs-current test ## Everything a commit must pass

lint: .venv/ready ## Style and formatting
	@.venv/bin/ruff check src tests benchmarks .ci/setup
	@.venv/bin/ruff format --check src tests benchmarks .ci/setup

format: .venv/ready ## Mend style and formatting
	@.venv/bin/ruff check --fix src tests benchmarks .ci/setup
	@.venv/bin/ruff format src tests benchmarks .ci/setup

types: .venv/ready ## Strict types on src/
	@.venv/bin/mypy

arch: .venv/ready ## Which module may import which
	@.venv/bin/lint-imports

docs: .venv/ready ## Write docs/features.md from the features
	@.venv/bin/python -m tenure.features.dictionary docs/features.md
	@.venv/bin/python -m tenure.kpis.pages docs/kpis.md

docs-current: .venv/ready
	@.venv/bin/python -m tenure.features.dictionary --check docs/features.md
	@.venv/bin/python -m tenure.kpis.pages --check docs/kpis.md

simulate: .venv/ready ## Write a simulated company, with the truth about it, into out/company
	@.venv/bin/tenure simulate --out out/company

bench: .venv/ready ## Time the features, beside a Polars loop (LARGE=1: 50 M rows alone)
	@.venv/bin/python -m benchmarks $(if $(LARGE),--large)

bench-models: .venv/ready ## The models beside the strongest single one, and beside what can be known
	@.venv/bin/python -m benchmarks.models

bench-values: .venv/ready ## A million values with their intervals, beside peers; and how true the intervals are
	@.venv/bin/python -m benchmarks.values

bench-drivers: .venv/ready ## Explaining everybody, beside peers; drivers and goals in worlds whose causes are known
	@.venv/bin/python -m benchmarks.drivers
	@.venv/bin/python -W ignore -m benchmarks.driver_truth

mlflow: .venv/ready ## Show the runs at port 5000
	@MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true .venv/bin/mlflow server \
		--backend-store-uri sqlite:///mlruns/mlflow.db --default-artifact-root mlruns/artifacts

lock: .venv/ready ## Pin the requirements anew (needs a package index)
	@.venv/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header -o requirements.txt

clean: ## Remove .venv and outputs; runs in mlruns/ stay
	rm -rf .venv out
